"""Average precision as lvis-api and pycocotools compute it: LVIS's, AP-Fixed, AP-Pool, and COCO's with COCO-LT's bins.

Precision at 101 recalls of every class, threshold and area range, and the means of those tables that are reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fasa.evaluation.arrays import by_score, group, in_parallel
from fasa.evaluation.io.ground_truth import FREQUENCIES
from fasa.evaluation.kernels import kernels
from fasa.evaluation.metrics.matching import COCO_LIMITS, IOU_THRESHOLDS, Matches, limit_of

RECALLS = np.linspace(0.0, 1.0, 101)
RANGES = ("", "s", "m", "l")
BINS = (("AP_1_20", 1, 20), ("AP_20_400", 20, 400), ("AP_400_8000", 400, 8000), ("AP_8000", 8000, np.inf))  # SimCal's

Summary = dict[str, float | None]
Tables = tuple[np.ndarray, np.ndarray]  # precision (T, R, K, A) and recall (T, K, A); -1 where nothing counts


@dataclass(frozen=True)
class Evaluation:
    """Figures of one detections file under one protocol; fractions, None where no class of a group has ground truth."""

    protocol: str
    iou_type: str
    kind: str
    summary: Summary
    precision: np.ndarray | None = None  # (T, R, K, A), -1: absent; None for AP-Pool
    recall: np.ndarray | None = None  # (T, K, A)
    per_class: dict[str, np.ndarray] | None = None  # columns of length K; NaN: no ground truth; None for AP-Pool


@dataclass(frozen=True)
class Ranking:
    """Detections, best first, and ground truth, each in groups one after the other; every group has its own curves."""

    detection: np.ndarray  # int64: rows; group k has detection[detection_start[k] : detection_start[k + 1]]
    detection_start: np.ndarray
    truth: np.ndarray  # int64: rows, likewise
    truth_start: np.ndarray
    areas: int  # only the first so many area ranges


@dataclass(frozen=True)
class Ranked:
    """A protocol's matches, sorted for its curves: made once, however many draws of a bootstrap follow."""

    matches: Matches
    protocol: str
    rankings: dict[str, Ranking]  # "AP": of every class, or all in one pool; "AR1", "AR10": COCO; "frequency": AP-Pool


def evaluate_matches(matches: Matches, protocol: str, instance_counts: np.ndarray | None = None) -> Evaluation:
    """Average precision of ``matches`` under ``protocol``, which must have their limit.

    Args:
        instance_counts: (K,) training instances of each class; adds the four bins of COCO-LT to the summary.
    """
    truth, iou_type = matches.overlaps.ground_truth, matches.overlaps.iou_type
    ranked = rank(matches, protocol)
    if protocol == "pool":
        return Evaluation(protocol, iou_type, truth.kind, _pool_summary(ranked))
    precision, recall = tables(matches, ranked.rankings["AP"])
    summary = _summary(ranked, precision, recall)
    if instance_counts is not None:
        summary |= {
            name: _mean(precision[:, :, (instance_counts >= low) & (instance_counts < high), 0])
            for name, low, high in BINS
        }
    per_class = _per_class(matches, precision, recall)
    return Evaluation(protocol, iou_type, truth.kind, summary, precision, recall, per_class)


def rank(matches: Matches, protocol: str) -> Ranked:
    """Sort what takes part into the groups that a protocol draws curves for.

    Raises:
        ValueError: the matches are those of another limit than the protocol's.
    """
    if matches.limit != limit_of(matches.overlaps.ground_truth.kind, protocol):
        raise ValueError(f"these matches are limited by {matches.limit}: match again for protocol '{protocol}'")
    if protocol == "pool":
        return Ranked(matches, protocol, _pools(matches))
    rankings = {"AP": rank_classes(matches)}
    if matches.overlaps.ground_truth.kind == "coco":
        rankings |= {f"AR{most}": replace(rank_classes(matches, most), areas=1) for most in COCO_LIMITS[:-1]}
    return Ranked(matches, protocol, rankings)


def rank_classes(matches: Matches, most: int | None = None, images: np.ndarray | None = None) -> Ranking:
    """One group for every class.

    Args:
        most: only the best so many detections of a class in an image (COCO).
        images: bool (N,), those that count; the others' detections and objects are left out.
    """
    overlaps, truth = matches.overlaps, matches.overlaps.ground_truth
    classes, order, rows = len(truth.category_ids), matches.order, np.arange(len(truth.category))
    if most is not None:
        order = order[matches.rank_in_image[order] < most]
    if images is not None:
        order, rows = order[images[overlaps.image[order]]], rows[images[truth.image]]
    areas = matches.truth_ignored.shape[1]
    return Ranking(*group(order, overlaps.category, classes), *group(rows, truth.category, classes), areas)


def _pool_summary(ranked: Ranked) -> Summary:
    """AP-Pool's figures, each of a curve of its own."""
    figures: list[float | None] = []
    for ranking, pools in ((ranked.rankings["AP"], 1), (ranked.rankings["frequency"], len(FREQUENCIES))):
        precision, _ = tables(ranked.matches, ranking)
        figures += [_mean(precision[:, :, [pool], 0]) for pool in range(pools)]
    return dict(zip(("AP", "APr", "APc", "APf"), figures, strict=True))


def _pools(matches: Matches) -> dict[str, Ranking]:
    """AP-Pool (Dave et al. 2021): one curve over all detections of all, of rare, of common and of frequent classes.

    Matching is AP-Fixed's; of equal scores the lower image, then the lower class, then the earlier in the file.
    """
    overlaps = matches.overlaps
    truth, classes = overlaps.ground_truth, len(overlaps.ground_truth.category_ids)
    by_class = group(np.sort(matches.order), overlaps.category, classes)[0]
    by_pair = group(by_class, overlaps.image, len(truth.image_ids))[0]
    order = by_pair[by_score(overlaps.score[by_pair])]
    letters = np.select([truth.frequencies == letter for letter in FREQUENCIES], range(3), 3)

    def pooled(pool_of_class: np.ndarray, pools: int) -> Ranking:
        of_detection = np.append(pool_of_class, pools)[np.minimum(overlaps.category, classes)]
        truths = group(np.arange(len(truth.category)), pool_of_class[truth.category], pools + 1)
        return Ranking(*group(order, of_detection, pools + 1), *truths, areas=1)

    return {"AP": pooled(np.zeros(classes, np.int64), 1), "frequency": pooled(letters, len(FREQUENCIES))}


def _summary(ranked: Ranked, precision: np.ndarray, recall: np.ndarray) -> Summary:
    """The figures that the official tools print, from tables; means are taken in their order, so that bits agree."""
    truth = ranked.matches.overlaps.ground_truth
    summary: Summary = {"AP": _mean(precision[..., 0])}
    for threshold in (50, 75):
        summary[f"AP{threshold}"] = _mean(precision[threshold / 100 == IOU_THRESHOLDS, ..., 0])
    for a, name in enumerate(RANGES[1:], start=1):
        summary[f"AP{name}"] = _mean(precision[..., a])
    if truth.kind == "lvis":
        for letter in FREQUENCIES:
            summary[f"AP{letter}"] = _mean(precision[:, :, truth.frequencies == letter, 0])
    for name, ranking in ranked.rankings.items():
        if name != "AP":
            summary[name] = _mean(tables(ranked.matches, ranking)[1][..., 0])
    for a, name in enumerate(RANGES):
        summary[f"AR{name}"] = _mean(recall[..., a])
    return summary


def _per_class(matches: Matches, precision: np.ndarray, recall: np.ndarray) -> dict[str, np.ndarray]:
    truth, classes = matches.overlaps.ground_truth, len(matches.overlaps.ground_truth.category_ids)

    def average(table: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        values = table.mean(axis=axes)
        return np.where(values > -1, values, np.nan)

    return {
        "category_id": truth.category_ids,
        "name": np.array(truth.category_names),
        "frequency": truth.frequencies,
        "truths": np.bincount(truth.category[~matches.truth_ignored[:, 0]], minlength=classes),
        "detections": np.bincount(matches.overlaps.category[matches.order], minlength=classes),
        "AP": average(precision[..., 0], (0, 1)),
        "AP50": average(precision[IOU_THRESHOLDS == 0.5, ..., 0], (0, 1)),
        "AP75": average(precision[IOU_THRESHOLDS == 0.75, ..., 0], (0, 1)),
        "AR": average(recall[..., 0], (0,)),
    }


def _mean(table: np.ndarray) -> float | None:
    """Mean of the entries that are present (the official tools' ``s[s > -1]``); None where there are none."""
    present = table[table > -1]
    return float(np.mean(present)) if len(present) else None


def tables(matches: Matches, ranking: Ranking, recalls: np.ndarray | None = None) -> Tables:
    """Precision (T, R, K, A) and recall (T, K, A) of the K groups, -1 where a group has no truth that counts.

    Args:
        recalls: (R,), ascending; the 101 of the official tools if not given.
    """
    recalls = RECALLS if recalls is None else recalls
    groups, thresholds = len(ranking.detection_start) - 1, matches.outcome.shape[2]
    precision = np.full((ranking.areas, thresholds, len(recalls), groups), -1.0)  # means are of one area range
    recall = np.full((ranking.areas, thresholds, groups), -1.0)
    in_parallel(
        lambda lo, hi: kernels.accumulate(
            lo, hi, ranking.detection, ranking.detection_start, ranking.truth, ranking.truth_start, matches.outcome_row,
            matches.outcome, matches.ignored_unmatched, matches.truth_ignored, recalls, precision, recall,
        ),
        groups, smallest=64,
    )  # fmt: skip
    return np.moveaxis(precision, 0, -1), np.moveaxis(recall, 0, -1)
