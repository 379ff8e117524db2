"""The parameters of one evaluation, checked, whichever tool's names they came under; and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.drop_in.inputs import EmptyResults, SizedEntries
from fasa.evaluation.drop_in.one_class import OneClassEntries
from fasa.evaluation.geometry.overlaps import MATCH_IOU, Overlaps, find_overlaps
from fasa.evaluation.io.ground_truth import GroundTruth
from fasa.evaluation.metrics.average_precision import Ranking, Tables, rank_classes, tables
from fasa.evaluation.metrics.matching import Matches


@dataclass(frozen=True)
class Request:
    """What to evaluate: arrays as the tools' params name them."""

    iou_type: str
    image_ids: np.ndarray  # int64 (N,), ascending
    category_ids: np.ndarray  # int64 (K,): the order of the tables' classes
    thresholds: np.ndarray  # float (T,)
    recalls: np.ndarray  # float (R,), ascending
    area_ranges: np.ndarray  # float (A, 2), square pixels
    limits: tuple[int, ...] = ()  # COCO: detections of a class in an image, ascending
    by_class: bool = True  # COCO: whether classes are told apart

    def same_matching(self, other: Request) -> bool:
        """Whether one evaluation serves both: only the recalls differ."""
        arrays = ("image_ids", "category_ids", "thresholds", "area_ranges")
        return (self.iou_type, self.limits, self.by_class) == (other.iou_type, other.limits, other.by_class) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays
        )


def whole_numbers(values: Any, name: str) -> np.ndarray:
    """int64 (n,), n at least 1, of a parameter ``name``.

    Raises:
        UserError: it is no list of whole numbers, or empty.
    """
    found = np.asarray(values.tolist() if hasattr(values, "tolist") else list(values))
    if found.ndim != 1 or not len(found) or found.dtype.kind not in "iu":
        raise UserError(f"params.{name} is {_short(values)}: give a list of one or more whole numbers.")
    return found.astype(np.int64)


def fractions(values: Any, name: str, lowest: float = 0.0, ascending: bool = False) -> np.ndarray:
    """float64 (n,), n at least 1, of a parameter ``name``.

    Raises:
        UserError: it is no list of numbers from ``lowest`` to 1, or not ascending where it must be.
    """
    found = _numbers(values)
    if found is None or found.ndim != 1 or not len(found) or not ((found >= lowest) & (found <= 1)).all():
        raise UserError(f"params.{name} is {_short(values)}: give a list of one or more numbers from {lowest:g} to 1.")
    if ascending and (np.diff(found) < 0).any():
        raise UserError(f"params.{name} is {_short(values)}: give it in ascending order.")
    return found


def ranges(values: Any, labels: Sequence[str], name: str) -> np.ndarray:
    """float64 (A, 2) of a parameter ``name`` with as many ``labels``.

    Raises:
        UserError: it is no list of pairs of numbers, or has another length than its labels.
    """
    found = _numbers(values)
    if found is None or found.ndim != 2 or found.shape[1] != 2 or not len(found) or np.isnan(found).any():
        raise UserError(f"params.{name} is {_short(values)}: give pairs of areas in square pixels.")
    if len(labels) != len(found):
        raise UserError(f"params.{name} has {len(found)} ranges and {len(labels)} labels: give each range one label.")
    return found


def overlaps_of(truth: GroundTruth, entries: SizedEntries | OneClassEntries, request: Request, name: str) -> Overlaps:
    """Read ``entries`` and pair them with ``truth``, as far as the thresholds ask for.

    Raises:
        UserError: as ``find_overlaps``; thresholds below 0.5 beside crowds; there are no detections in a list or file.
    """
    low = bool(request.thresholds.min() < MATCH_IOU)
    if low and truth.crowd.any():
        raise UserError(
            f"params.{name} goes below {MATCH_IOU}, where crowds are not compared: give {MATCH_IOU} or more."
        )
    found = find_overlaps(truth, entries, request.iou_type, all_classes=low)
    if not len(found.score) and entries.areas is None:  # an official tool's object may be empty
        raise EmptyResults(entries.name)
    return found if entries.areas is None else replace(found, area=entries.areas)


def ranked(matches: Matches, request: Request, most: int | None = None) -> Ranking:
    """One group for each class of the annotations, on the images of the request; see ``rank_classes``."""
    return rank_classes(matches, most, np.isin(matches.overlaps.ground_truth.image_ids, request.image_ids))


def requested_tables(matches: Matches, ranking: Ranking, request: Request) -> Tables:
    """Precision (T, R, K, A) and recall (T, K, A) of the classes of the request; -1 also for unknown classes."""
    precision, recall = tables(matches, ranking, recalls=request.recalls)
    place = columns(matches, request)
    return in_order(precision, place, axis=2), in_order(recall, place, axis=1)


def columns(matches: Matches, request: Request) -> np.ndarray:
    """Place of each class of the request among those of the annotations, int64 (K,); -1: not there."""
    ids = matches.overlaps.ground_truth.category_ids
    place = np.minimum(np.searchsorted(ids, request.category_ids), len(ids) - 1)
    return np.where(ids[place] == request.category_ids, place, -1)


def in_order(table: np.ndarray, place: np.ndarray, axis: int) -> np.ndarray:
    """``table`` with the classes at ``place``, along ``axis``; -1 throughout for a class that is not there."""
    chosen = np.take(table, place, axis)
    np.moveaxis(chosen, axis, 0)[place < 0] = -1
    return chosen


def mean(table: np.ndarray) -> float:
    """Mean of what is present, in the order of the axes; -1 where nothing is."""
    present = table[table > -1]
    return np.mean(present) if len(present) else -1


def _numbers(values: Any) -> np.ndarray | None:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return None


def _short(values: Any) -> str:
    shown = " ".join(repr(values).split())
    return shown if len(shown) <= 60 else shown[:60] + "…"
