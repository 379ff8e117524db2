"""COCO without classes (``useCats = 0``): the chosen classes become one; so do the others, which nothing matches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fasa.evaluation.drop_in.inputs import SizedEntries
from fasa.evaluation.geometry.overlaps import Overlaps
from fasa.evaluation.io.detection_columns import Detections
from fasa.evaluation.io.detections import DetectionSource
from fasa.evaluation.io.ground_truth import GroundTruth

OTHERS, CHOSEN = 0, 1  # the category ids
_DROPPED = -1


def one_class(truth: GroundTruth, category_ids: np.ndarray) -> GroundTruth:
    """COCO annotations whose objects of ``category_ids`` are of category CHOSEN, the others of OTHERS."""
    return replace(
        truth,
        category_ids=np.array([OTHERS, CHOSEN]),
        category_names=("others", "chosen"),
        frequencies=np.array(["", ""]),
        category=np.isin(truth.category_ids, category_ids).astype(np.int32)[truth.category],
        verified=np.ones((len(truth.image_ids), 2), bool),
        not_exhaustive=np.zeros((len(truth.image_ids), 2), bool),
    )


class OneClassEntries(DetectionSource):
    """The detections of ``category_ids`` as of category CHOSEN; the others are of none.

    ``category_id`` (n,) holds the ids that they came with, after one pass.
    """

    def __init__(self, source: SizedEntries, category_ids: np.ndarray) -> None:
        super().__init__(source.name, source.total_bytes, source.policy)
        self._source, self._chosen = source, category_ids
        self._ids: list[np.ndarray] = []

    def chunks(self, masks: bool = True) -> Iterator[Detections]:
        """The chunks of the source, relabelled."""
        self._ids.clear()
        for chunk in self._source.chunks(masks):
            self.done_bytes = self._source.done_bytes
            self._ids.append(chunk.category_id)
            yield replace(chunk, category_id=np.where(np.isin(chunk.category_id, self._chosen), CHOSEN, _DROPPED))

    @property
    def category_id(self) -> np.ndarray:
        """int64 (n,)."""
        return np.concatenate([np.zeros(0, np.int64), *self._ids])

    @property
    def areas(self) -> np.ndarray | None:
        """As ``SizedEntries.areas``."""
        return self._source.areas


def by_place(
    overlaps: Overlaps, detection_ids: np.ndarray, truth_ids: np.ndarray, category_ids: np.ndarray
) -> Overlaps:
    """Overlaps as if the files were sorted by the place of each class in ``category_ids``, as pycocotools lists them.

    Args:
        detection_ids: int64 (n,), the categories that the detections came with.
        truth_ids: int64 (G,), those of the objects.
    """
    ascending = np.argsort(category_ids)

    def place(ids: np.ndarray) -> np.ndarray:  # of others anything: they take no part
        return ascending[np.minimum(np.searchsorted(category_ids[ascending], ids), len(ascending) - 1)]

    order = np.argsort(place(detection_ids), kind="stable")
    row = np.empty(len(order), np.int32)
    row[order] = np.arange(len(order), dtype=np.int32)
    detection = row[overlaps.detection]
    pairs = np.lexsort((place(truth_ids)[overlaps.truth], detection))
    return replace(
        overlaps,
        image=overlaps.image[order],
        category=overlaps.category[order],
        score=overlaps.score[order],
        area=overlaps.area[order],
        detection=detection[pairs],
        truth=overlaps.truth[pairs],
        iou=overlaps.iou[pairs],
    )
