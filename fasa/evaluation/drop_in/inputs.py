"""What the official tools are given, paths, lists or their own objects, as columns of annotations and detections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.geometry.overlaps import IOU_TYPES
from fasa.evaluation.io import fields
from fasa.evaluation.io.detection_columns import Detections
from fasa.evaluation.io.detections import DetectionSource, open_detections
from fasa.evaluation.io.ground_truth import GroundTruth, load_ground_truth, read_annotations
from fasa.evaluation.io.masks import FIELD, from_polygons

_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")


class EmptyResults(UserError, IndexError):
    """There are no detections; an ``IndexError``, too, since callers of the official tools catch that one."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} holds no detections: there is nothing to evaluate.")


def check_iou_type(iou_type: Any) -> None:
    """Raise a UserError unless it is "segm", "bbox" or "boundary"."""
    if iou_type not in IOU_TYPES:
        raise UserError(f"iou type {iou_type!r} cannot be evaluated here: choose 'segm', 'bbox' or 'boundary'.")


class SizedEntries(DetectionSource):
    """Detections and, after one pass over them, the sizes that the official tools give them for small, medium, large.

    Both tools take the boxes' areas where the first entry has a "bbox", else the masks'.

    Args:
        areas: float (n,) square pixels, where the tool's own object has them already.
    """

    def __init__(self, source: DetectionSource, areas: np.ndarray | None = None) -> None:
        super().__init__(source.name, source.total_bytes, source.policy)
        self._source, self._given = source, areas
        self._box_areas: list[np.ndarray] = []

    def chunks(self, masks: bool = True) -> Iterator[Detections]:
        """The chunks of the source.

        Raises:
            UserError: as the source, and where some entries have a box and others none.
        """
        self._box_areas.clear()
        for number, chunk in enumerate(self._source.chunks(masks)):
            self.done_bytes = self._source.done_bytes
            boxed = np.zeros(len(chunk), bool) if chunk.box is None else ~np.isnan(chunk.box[:, 0])
            first = bool(self._box_areas) if number else bool(boxed[0])
            if self._given is None and (boxed != first).any():
                place, has = chunk.first + int(np.argmax(boxed != first)), "no" if first else "a"
                raise UserError(
                    f'{self.name}: detection {place} has {has} "bbox", unlike those before: give one to all or to none.'
                )
            if first and chunk.box is not None:
                self._box_areas.append(chunk.box[:, 2] * chunk.box[:, 3])
            yield chunk

    @property
    def areas(self) -> np.ndarray | None:
        """float (n,) square pixels; None: those of the masks."""
        if self._given is not None:
            return self._given
        return np.concatenate(self._box_areas) if self._box_areas else None


def read_truth(annotations: Any, iou_type: str, kind: str) -> GroundTruth:
    """Columns of a path, of parsed JSON, of ``GroundTruth``, or of an object with a ``dataset`` as both tools have it.

    Args:
        kind: "lvis" or "coco"; of an object for "coco", LVIS's lists are passed over, as by pycocotools.

    Raises:
        UserError: as ``load_ground_truth``; or the annotations are of the other kind.
    """
    if isinstance(annotations, str | Path | GroundTruth):
        truth = load_ground_truth(annotations, masks=iou_type != "bbox")
    else:
        document = annotations if isinstance(annotations, Mapping) else getattr(annotations, "dataset", None)
        if not isinstance(document, Mapping):
            raise UserError(f"annotations cannot be a {type(annotations).__name__}: give a path or a loaded object.")
        federated = kind == "lvis" or document is annotations  # pycocotools' object knows no such lists
        truth = GroundTruth(**read_annotations(_slim(document, iou_type, federated), "annotations"))
    if truth.kind != kind:
        other = (
            "score it with COCOeval" if kind == "lvis" else "score it with LVISEval, or load it by pycocotools' COCO"
        )
        raise UserError(f"{truth.name} is in {truth.kind.upper()}'s format, not in {kind.upper()}'s: {other}.")
    return truth


def read_ids(annotations: Any, iou_type: str, kind: str) -> tuple[list[int], list[int]]:
    """Ids of the images and of the categories, ascending; arguments and errors as ``read_truth``."""
    document = getattr(annotations, "dataset", None)
    if isinstance(document, Mapping):  # the whole is read when it is scored
        images, categories = (
            sorted({fields.present(entry, "id", part) for entry in fields.present(document, part, "annotations")})
            for part in ("images", "categories")
        )
        return images, categories
    truth = read_truth(annotations, iou_type, kind)
    return truth.image_ids.tolist(), truth.category_ids.tolist()


def read_results(results: Any, iou_type: str, truth: GroundTruth) -> SizedEntries:
    """Detections of a path, of entries, of ``Detections``, or of an object with a ``dataset`` as both tools have it.

    Of an object, detections in images that ``truth`` does not list are passed over, as both tools do that.

    Raises:
        UserError: as ``open_detections``; or an object's entry has no "area".
    """
    document = getattr(results, "dataset", None)
    if isinstance(document, Mapping):
        known = set(truth.image_ids.tolist())
        listed = [entry for entry in document.get("annotations", []) if entry.get("image_id") in known]
        sizes = [fields.present(entry, "area", f"detection {i}") for i, entry in enumerate(listed)]
        return SizedEntries(open_detections(_readable(listed, iou_type, truth)), np.array(sizes, np.float64))
    if isinstance(results, list | tuple):
        results = _readable(results, iou_type, truth)
    return SizedEntries(open_detections(results))


def _slim(document: Mapping[str, Any], iou_type: str, federated: bool) -> dict[str, Any]:
    """The document without what is not looked at, which a tool's object may lack: shapes of images, the other mask."""
    slim = dict(document)
    if isinstance(images := document.get("images"), list):
        unused = {"height": 1, "width": 1} if iou_type == "bbox" else {}
        keys = ("id", "height", "width", *(_LISTS if federated else ()))
        slim["images"] = [unused | {key: entry[key] for key in keys if key in entry} for entry in images]
    if isinstance(entries := document.get("annotations"), list):
        other = FIELD if iou_type == "bbox" else "bbox"
        spared = {} if iou_type == "bbox" else {"bbox": [0.0] * 4}
        slim["annotations"] = [{key: e[key] for key in e if key != other} | spared for e in entries]
    return slim


def _readable(entries: Sequence[Any], iou_type: str, truth: GroundTruth) -> list[Any]:
    """Entries as our reader takes them: with no mask beside a box that is scored, and polygons drawn."""
    if iou_type == "bbox":
        return [_box_alone(entry) if isinstance(entry, Mapping) else entry for entry in entries]
    sizes = dict(zip(truth.image_ids.tolist(), truth.image_sizes.tolist(), strict=True))
    readable = []
    for i, entry in enumerate(entries):
        if isinstance(entry, Mapping) and isinstance(entry.get(FIELD), list):
            size = tuple(sizes.get(entry.get("image_id"), (1, 1)))  # of an unknown image: refused later
            entry = {**entry, FIELD: {"size": size, "counts": from_polygons(entry[FIELD], size, f"detection {i}")}}
        readable.append(entry)
    return readable


def _box_alone(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    if FIELD not in entry or "bbox" not in entry:
        return entry
    return {key: entry[key] for key in entry if key != FIELD}
