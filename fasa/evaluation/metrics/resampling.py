"""Figures of many draws of images, in blocks: those of ``evaluate`` where an image may count several times, or never.

What a draw cannot change is worked out once (``_Curves``): the order of the detections, and at which thresholds each is
a true or a false positive. Then a draw only adds up weights. Nothing of this changes a bit of a figure:

- Detections that are neither at any threshold leave, and those behind a class's last true positive: precision is read
  at true positives only. An image that a draw lacks has weight 0: its true positives add none, and the precision there
  is no higher than at the true positive before, so that no maximum changes.
- Eight draws are added up together. The sums are of whole numbers; each draw's quotients and maxima are the same
  operations on the same floats as for one draw alone.
- The precision at recall r is the best where tp / truths >= r. The fewest true positives m for which that holds are
  found once a class and draw, with that very quotient; the best precision with m or more is one running maximum.
- Means are taken by numpy over the same numbers in the same order (threshold, recall, class), so that its pairwise sum
  adds them alike.

Memory: a table of precision (8 draws, classes, thresholds, recalls), 78 MB for LVIS, however many draws there are, and
8 bytes for each detection and area range that can matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fasa.evaluation.arrays import in_parallel
from fasa.evaluation.codes import COUNTED, DRAWS, EVERYWHERE, UNMATCHED
from fasa.evaluation.io.ground_truth import FREQUENCIES
from fasa.evaluation.kernels import kernels
from fasa.evaluation.metrics.average_precision import RANGES, RECALLS, Ranked, Ranking, Summary
from fasa.evaluation.metrics.matching import IOU_THRESHOLDS, Matches


@dataclass(frozen=True)
class _Figure:
    """One reported mean: over classes, bool (K,), and all thresholds or the place of one; of precision or recall."""

    name: str
    classes: np.ndarray
    threshold: int | None = None
    of_recall: bool = False


@dataclass(frozen=True)
class _Curves:
    """What one ranking is in one area range: detections (E,), best first, class by class, and truths that count."""

    image: np.ndarray  # int32 (E,)
    true: np.ndarray  # uint16 (E,): bit t: a true positive at threshold t
    false: np.ndarray  # uint16 (E,): bit t: a false positive
    start: np.ndarray  # int64 (K + 1,)
    truth_image: np.ndarray  # int32
    truth_start: np.ndarray  # int64 (K + 1,)
    figures: Sequence[_Figure]


class Resampling:
    """Figures of ``ranked``, without COCO-LT's bins, under weights of its images."""

    def __init__(self, ranked: Ranked) -> None:
        self.classes = len(ranked.matches.overlaps.ground_truth.category_ids)
        self._names = [figure.name for _, _, figure in _figures(ranked)]
        by_curves: dict[tuple[str, int], list[_Figure]] = {}
        for ranking, area, figure in _figures(ranked):
            by_curves.setdefault((ranking, area), []).append(figure)
        self._curves = [
            _curves(ranked.matches, ranked.rankings[ranking], area, figures)
            for (ranking, area), figures in by_curves.items()
        ]
        groups = max(len(curves.start) - 1 for curves in self._curves)
        self._table = np.empty(DRAWS * groups * len(IOU_THRESHOLDS) * len(RECALLS))  # of precision, one after the other

    def summaries(self, counts: np.ndarray, class_ap: np.ndarray | None = None) -> list[Summary]:
        """The figures of each of ``DRAWS`` or fewer draws; ``counts`` int32 (draws, N): how often each has an image.

        ``class_ap`` (draws, K), if given, is filled with the AP of each class, NaN without truth; not for AP-Pool.
        """
        weight = np.zeros((counts.shape[1], DRAWS), np.int32)
        weight[:, : len(counts)] = counts.T
        found: list[Summary] = [dict.fromkeys(self._names) for _ in counts]
        for curves in self._curves:
            of_class = class_ap if curves.figures[0].name == "AP" else None
            _summarise(curves, weight, self._table, found, of_class)
        return found


def _figures(ranked: Ranked) -> Iterator[tuple[str, int, _Figure]]:
    """The ranking and the area range of each figure of a protocol, in the order of ``evaluate``."""
    truth = ranked.matches.overlaps.ground_truth
    if ranked.protocol == "pool":
        yield "AP", 0, _Figure("AP", np.arange(2) == 0)
        for pool, letter in enumerate(FREQUENCIES):
            yield "frequency", 0, _Figure(f"AP{letter}", np.arange(len(FREQUENCIES) + 1) == pool)
        return
    everyone = np.ones(len(truth.category_ids), bool)
    yield "AP", 0, _Figure("AP", everyone)
    for threshold in (50, 75):
        yield "AP", 0, _Figure(f"AP{threshold}", everyone, int(np.argmax(threshold / 100 == IOU_THRESHOLDS)))
    for area, size in enumerate(RANGES[1:], start=1):
        yield "AP", area, _Figure(f"AP{size}", everyone)
    if truth.kind == "lvis":
        for letter in FREQUENCIES:
            yield "AP", 0, _Figure(f"AP{letter}", truth.frequencies == letter)
    for name in ranked.rankings:
        if name != "AP":
            yield name, 0, _Figure(name, everyone, of_recall=True)
    for area, size in enumerate(RANGES):
        yield "AP", area, _Figure(f"AR{size}", everyone, of_recall=True)


def _curves(matches: Matches, ranking: Ranking, area: int, figures: Sequence[_Figure]) -> _Curves:
    overlaps, groups = matches.overlaps, len(ranking.detection_start) - 1
    bits = 1 << np.arange(len(IOU_THRESHOLDS), dtype=np.uint16)
    # Of each outcome, and last of a detection that overlaps nothing, whose row is -1.
    hits = np.append(((matches.outcome[:, area] == COUNTED) * bits).sum(axis=1, dtype=np.uint16), np.uint16(0))
    errors = ((matches.outcome[:, area] == UNMATCHED) * bits).sum(axis=1, dtype=np.uint16)
    errors = np.append(errors, np.uint16(EVERYWHERE))
    row = matches.outcome_row[ranking.detection]
    true = hits[row]
    false = np.where(matches.ignored_unmatched[ranking.detection, area], np.uint16(0), errors[row])

    of_class = np.repeat(np.arange(groups), np.diff(ranking.detection_start))
    last = np.full(groups, -1)
    found = np.flatnonzero(true)
    last[of_class[found]] = found  # ascending, so that the last stays
    kept = ((true | false) != 0) & (np.arange(len(true)) <= last[of_class])
    counted = ~matches.truth_ignored[ranking.truth, area]
    truth_class = np.repeat(np.arange(groups), np.diff(ranking.truth_start))
    return _Curves(
        overlaps.image[ranking.detection[kept]],
        true[kept],
        false[kept],
        _start(of_class[kept], groups),
        overlaps.ground_truth.image[ranking.truth[counted]],
        _start(truth_class[counted], groups),
        figures,
    )


def _start(group: np.ndarray, groups: int) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(np.bincount(group, minlength=groups))))


def _summarise(
    curves: _Curves, weight: np.ndarray, table: np.ndarray, found: list[Summary], class_ap: np.ndarray | None
) -> None:
    """Add the figures of ``curves`` to those ``found`` of each draw, and to ``class_ap``; ``table`` takes precision."""
    groups, thresholds = len(curves.start) - 1, len(IOU_THRESHOLDS)
    shape = DRAWS, groups, thresholds, len(RECALLS)
    truths = np.empty((groups, DRAWS), np.int64)
    precision = table[: math.prod(shape)].reshape(shape)
    recall = np.empty((DRAWS, groups, thresholds))
    in_parallel(
        lambda lo, hi: kernels.draw_curves(
            lo, hi, curves.image, curves.true, curves.false, curves.start, curves.truth_image, curves.truth_start,
            weight, RECALLS, truths, precision, recall,
        ),
        groups, smallest=64,
    )  # fmt: skip

    def means(lo: int, hi: int) -> None:
        for draw in range(lo, hi):
            if class_ap is not None:
                mean = precision[draw].reshape(groups, -1).mean(axis=1)
                class_ap[draw] = np.where(truths[:, draw] > 0, mean, np.nan)
            for figure in curves.figures:
                present = np.flatnonzero(figure.classes & (truths[:, draw] > 0))
                values = (recall if figure.of_recall else precision)[draw]
                if figure.threshold is not None:
                    values = values[:, figure.threshold]
                if len(present):
                    found[draw][figure.name] = _mean(np.ascontiguousarray(values).reshape(groups, -1), present)

    in_parallel(means, len(found), smallest=1)


def _mean(values: np.ndarray, present: np.ndarray) -> float:
    """Mean over the classes ``present`` of ``values`` (K, X), added up in the order of the official tools' tables."""
    turned = np.empty((values.shape[1], len(present)))
    kernels.transposed(values, present, turned)
    return float(np.mean(turned.ravel()))
