"""``LVISResults`` under lvis-api's name."""

from __future__ import annotations

import logging
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any

from pycocotools import mask as coco

from fasa.errors import UserError
from fasa.evaluation.drop_in.inputs import EmptyResults
from fasa.evaluation.drop_in.lvis_annotations import LVIS, Entry, load_json
from fasa.evaluation.io import fields
from fasa.evaluation.io.files import first_bytes

_SMALLEST_ENTRY = 32  # bytes; a shorter file of results is looked into before anything else


class LVISResults(LVIS):
    """Detections for annotations of LVIS, as ``lvis.LVISResults``; the list that is given is not written into.

    Args:
        lvis_gt: an ``LVIS``, of here or of lvis-api, or a path.
        results: the official results: a path, also to our .npz, or the list of entries.
        max_dets: how many detections of an image count, by score; a negative number: all.

    Raises:
        EmptyResults: there are none.
        UserError: the file cannot be read; a faulty entry is told when it is needed.
    """

    def __init__(self, lvis_gt: Any, results: str | Path | list[Entry], max_dets: int = 300) -> None:
        self.logger = logging.getLogger(__name__)
        self.lvis_gt = LVIS(lvis_gt) if isinstance(lvis_gt, str | Path) else lvis_gt
        self.max_dets = max_dets
        self._results = results
        if not isinstance(results, str | Path | list):
            raise UserError(f"results cannot be a {type(results).__name__}: give a path or a list of entries.")
        if not results or max_dets == 0 or (isinstance(results, str | Path) and _is_empty_list(Path(results))):
            raise EmptyResults(str(results) if isinstance(results, str | Path) else "results")

    @property
    def scored(self) -> Any:
        """What is scored: the results as given, or this object once its ``dataset`` was asked for."""
        return self if "dataset" in self.__dict__ else self._results

    @property
    def limit(self) -> int | None:
        """How many detections of an image are still to be chosen; None: all."""
        return None if self.max_dets < 0 or "dataset" in self.__dict__ else self.max_dets

    @cached_property
    def dataset(self) -> dict[str, Any]:
        """The annotations' document, with the detections that count as its annotations, each with id and area."""
        results = self._results
        listed = results if isinstance(results, list) else load_json(Path(results), list)
        by_image = defaultdict(list)
        for place, entry in enumerate(listed):
            by_image[fields.present(entry, "image_id", f"detection {place}")].append(dict(entry))
        if self.max_dets >= 0:
            for image, own in by_image.items():
                if len(own) > self.max_dets:
                    by_image[image] = sorted(own, key=lambda e: e["score"], reverse=True)[: self.max_dets]
        entries = [entry for own in by_image.values() for entry in own] if self.max_dets >= 0 else [*map(dict, listed)]
        boxed = "bbox" in entries[0]
        for number, entry in enumerate(entries, start=1):
            _complete(entry, boxed, f"detection {number - 1} of those that count")
            entry["id"] = number
        return {**self.lvis_gt.dataset, "annotations": entries}

    def _all_ids(self, part: str) -> list[int]:
        return [entry["id"] for entry in self.dataset[part]]

    def get_top_results(self, img_id: int, score_thrs: float) -> list[Entry]:
        """The detections of an image whose score is above the threshold."""
        return [entry for entry in self.img_ann_map.get(img_id, []) if entry["score"] > score_thrs]


def _complete(entry: Entry, boxed: bool, where: str) -> None:
    """Give a detection the fields that it lacks: its area, by the box if ``boxed``, and a box or a mask."""
    if boxed:
        x, y, w, h = fields.present(entry, "bbox", where)
        entry.setdefault("segmentation", [[x, y, x, y + h, x + w, y + h, x + w, y]])
        entry["area"] = w * h
    else:
        mask = fields.present(entry, "segmentation", where)
        entry["area"] = coco.area(mask)
        entry.setdefault("bbox", coco.toBbox(mask))


def _is_empty_list(path: Path) -> bool:
    first_bytes(path)
    return path.stat().st_size < _SMALLEST_ENTRY and path.read_bytes().split() in ([b"[]"], [b"[", b"]"])
