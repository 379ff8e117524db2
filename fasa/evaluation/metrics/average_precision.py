"""Average precision by protocol: LVIS's own, AP-Fixed, AP-Pool, and COCO's, with its long-tailed bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.metrics.matching import COCO_LIMITS, IOU_THRESHOLDS, Matches, matches
from fasa.evaluation.metrics.ordering import by_score, group
from fasa.evaluation.metrics.overlaps import Overlaps
from fasa.evaluation.metrics.precision_recall import tables

PROTOCOLS = ("standard", "fixed", "pool")
FREQUENCIES = ("r", "c", "f")
RANGES = ("", "s", "m", "l")
BINS = (("AP_1_20", 1, 20), ("AP_20_400", 20, 400), ("AP_400_8000", 400, 8000), ("AP_8000", 8000, np.inf))  # SimCal's

Summary = dict[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """Figures of one detections file under one protocol; fractions, None where no class of a group has ground truth."""

    protocol: str
    iou_type: str
    kind: str
    summary: Summary
    precision: np.ndarray | None = None  # (T, R, K, A), -1: absent; None for AP-Pool
    recall: np.ndarray | None = None  # (T, K, A)
    per_class: dict[str, np.ndarray] | None = None  # columns of length K; NaN: no ground truth


@dataclass(frozen=True)
class Weights:
    """How often each image is counted (bootstrap), for detections int32 (n,) and for ground truth int32 (G,)."""

    detection: np.ndarray
    truth: np.ndarray


def evaluate(overlaps: Overlaps, protocol: str = "standard", instance_counts: np.ndarray | None = None) -> Evaluation:
    """Average precision of ``overlaps`` under ``protocol``.

    Args:
        instance_counts: (K,) training instances of each class; adds the four bins of COCO-LT to the summary.

    Raises:
        UserError: an unknown protocol, or an LVIS protocol on annotations that are not federated.
    """
    _check(overlaps, protocol)
    truth = overlaps.ground_truth
    if protocol == "pool":
        return Evaluation(protocol, overlaps.iou_type, truth.kind, pooled(overlaps))
    precision, recall, fewer = class_tables(overlaps, protocol)
    summary = summarise(overlaps, precision, recall, fewer)
    if instance_counts is not None:
        summary |= {
            name: mean(precision[:, :, (instance_counts >= low) & (instance_counts < high), 0])
            for name, low, high in BINS
        }
    per_class = _per_class(overlaps, matches(overlaps, _limit(overlaps, protocol)), precision, recall)
    return Evaluation(protocol, overlaps.iou_type, truth.kind, summary, precision, recall, per_class)


def class_tables(
    overlaps: Overlaps, protocol: str, weights: Weights | None = None
) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """Precision (T, R, K, A), recall (T, K, A), and recall at COCO's lower limits of detections by limit."""
    truth = overlaps.ground_truth
    matched = matches(overlaps, _limit(overlaps, protocol))
    by_class, class_start = group(np.arange(len(truth.category)), truth.category, len(truth.category_ids))

    def over(order: np.ndarray, areas: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        grouped, start = group(order, overlaps.category, len(truth.category_ids))
        detection, rows = (weights.detection, weights.truth) if weights else (None, None)
        return tables(matched, grouped, start, by_class, class_start, detection, rows, areas)

    precision, recall = over(matched.order)
    fewer = {}
    if truth.kind == "coco":
        for limit in COCO_LIMITS[:-1]:
            fewer[limit] = over(matched.order[matched.in_image[matched.order] < limit], areas=1)[1]
    return precision, recall, fewer


def summarise(overlaps: Overlaps, precision: np.ndarray, recall: np.ndarray, fewer: dict[int, np.ndarray]) -> Summary:
    """The figures that the official tools print, from tables; means are taken in their order, so bits agree."""
    truth = overlaps.ground_truth
    summary: Summary = {"AP": mean(precision[..., 0])}
    for threshold in (50, 75):
        summary[f"AP{threshold}"] = mean(precision[threshold / 100 == IOU_THRESHOLDS, ..., 0])
    for a, name in enumerate(RANGES[1:], start=1):
        summary[f"AP{name}"] = mean(precision[..., a])
    if truth.kind == "lvis":
        for letter in FREQUENCIES:
            summary[f"AP{letter}"] = mean(precision[:, :, truth.frequencies == letter, 0])
    for limit, table in fewer.items():
        summary[f"AR{limit}"] = mean(table[..., 0])
    for a, name in enumerate(RANGES):
        summary[f"AR{name}"] = mean(recall[..., a])
    return summary


def pooled(overlaps: Overlaps, weights: Weights | None = None) -> Summary:
    """AP-Pool (Dave et al. 2021): one curve over all detections of all, rare, common and frequent classes.

    Matching is AP-Fixed's; of equal scores the lower image, then the lower class, then the earlier in the file.
    """
    truth = overlaps.ground_truth
    matched = matches(overlaps, "class")
    order = _pool_order(overlaps, matched)
    letters = np.select([truth.frequencies == letter for letter in FREQUENCIES], range(3), 3)
    detection, rows = (weights.detection, weights.truth) if weights else (None, None)
    everything = np.arange(len(truth.category))

    def curve(pool_of_class: np.ndarray, pools: int) -> list[float | None]:
        of_detection = np.append(pool_of_class, pools)[np.minimum(overlaps.category, len(pool_of_class))]
        grouped, start = group(order, of_detection, pools + 1)
        truths, truth_start = group(everything, pool_of_class[truth.category], pools + 1)
        precision, _ = tables(matched, grouped, start, truths, truth_start, detection, rows, areas=1)
        return [mean(precision[:, :, [pool], 0]) for pool in range(pools)]

    (whole,) = curve(np.zeros(len(truth.category_ids), np.int64), 1)
    return {"AP": whole, **dict(zip(("APr", "APc", "APf"), curve(letters, 3), strict=True))}


def mean(table: np.ndarray) -> float | None:
    """Mean of the entries that are there (the official tools' ``s[s > -1]``); None where there are none."""
    there = table[table > -1]
    return float(np.mean(there)) if len(there) else None


def _limit(overlaps: Overlaps, protocol: str) -> str:
    if overlaps.ground_truth.kind == "coco":
        return "coco"
    return {"standard": "image", "fixed": "class", "pool": "class"}[protocol]


def _check(overlaps: Overlaps, protocol: str) -> None:
    if protocol not in PROTOCOLS:
        raise UserError(f"there is no protocol '{protocol}'; known: {', '.join(PROTOCOLS)}.")
    truth = overlaps.ground_truth
    if protocol != "standard" and truth.kind != "lvis":
        raise UserError(
            f"{truth.name} has no negative categories: protocol '{protocol}' is for LVIS annotations; use 'standard'."
        )


def _pool_order(overlaps: Overlaps, matched: Matches) -> np.ndarray:
    """The detections that take part, by score, then image, then class, then place in the file; int64 (n,)."""
    if "pool order" not in overlaps.matches:  # once, not for every draw of a bootstrap
        in_file = np.sort(matched.order)
        by_class = group(in_file, overlaps.category, len(overlaps.ground_truth.category_ids))[0]
        by_pair = group(by_class, overlaps.image, len(overlaps.ground_truth.image_ids))[0]
        overlaps.matches["pool order"] = by_pair[by_score(overlaps.score[by_pair])]
    return overlaps.matches["pool order"]


def _per_class(
    overlaps: Overlaps, matched: Matches, precision: np.ndarray, recall: np.ndarray
) -> dict[str, np.ndarray]:
    truth, classes = overlaps.ground_truth, len(overlaps.ground_truth.category_ids)

    def average(table: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        values = table.mean(axis=axes)
        return np.where(values > -1, values, np.nan)

    return {
        "category_id": truth.category_ids,
        "name": np.array(truth.category_names),
        "frequency": truth.frequencies,
        "truths": np.bincount(truth.category[~matched.truth_ignored[:, 0]], minlength=classes),
        "detections": np.bincount(overlaps.category[matched.order], minlength=classes),
        "AP": average(precision[..., 0], (0, 1)),
        "AP50": average(precision[IOU_THRESHOLDS == 0.5, ..., 0], (0, 1)),
        "AP75": average(precision[IOU_THRESHOLDS == 0.75, ..., 0], (0, 1)),
        "AR": average(recall[..., 0], (0,)),
    }
