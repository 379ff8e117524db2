"""Precision at 101 recalls, of every class, threshold and area range, as lvis-api and pycocotools compute it."""

from __future__ import annotations

import numba
import numpy as np

from fasa.evaluation.metrics.matching import Matches
from fasa.evaluation.threads import in_parallel

RECALLS = np.linspace(0.0, 1.0, 101)


def tables(
    matched: Matches,
    order: np.ndarray,
    start: np.ndarray,
    truth_rows: np.ndarray,
    truth_start: np.ndarray,
    detection_weight: np.ndarray | None = None,
    truth_weight: np.ndarray | None = None,
    areas: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Precision (T, 101, K, A) and recall (T, K, A), -1 where a class has no truth that counts.

    Args:
        order: detections class by class, best first; class k has ``order[start[k] : start[k + 1]]``.
        truth_rows: rows of the ground truth class by class, likewise with ``truth_start``.
        detection_weight: how often each detection's image is counted, int32 (all,); all once if absent (bootstrap).
        truth_weight: likewise for the rows of the ground truth.
        areas: only the first so many area ranges.
    """
    classes = len(start) - 1
    areas = areas or matched.outcome.shape[1]
    thresholds = matched.outcome.shape[2]
    precision = np.full((thresholds, len(RECALLS), classes, areas), -1.0)
    recall = np.full((thresholds, classes, areas), -1.0)
    weighted = detection_weight is not None
    nothing = np.zeros(0, np.int32)
    detection_weight = detection_weight if weighted else nothing
    truth_weight = truth_weight if weighted else nothing
    in_parallel(
        lambda lo, hi: _accumulate(
            lo, hi, order, start, truth_rows, truth_start, matched.slot, matched.outcome, matched.excused,
            matched.truth_ignored, weighted, detection_weight, truth_weight, RECALLS, precision, recall,
        ),
        classes, smallest=64,
    )  # fmt: skip
    return precision, recall


@numba.njit(nogil=True, cache=True)
def _accumulate(
    lo, hi, order, start, truth_rows, truth_start, slot, outcome, excused,
    truth_ignored, weighted, detection_weight, truth_weight, recalls, precision, recall,
):  # fmt: skip
    thresholds, areas = recall.shape[0], recall.shape[2]
    for k in range(lo, hi):
        truths = np.zeros(areas, np.int64)  # that count
        for g in truth_rows[truth_start[k] : truth_start[k + 1]]:
            for a in range(areas):
                if not truth_ignored[g, a]:
                    truths[a] += truth_weight[g] if weighted else 1
        if not truths.any():
            continue
        hits = 0
        for d in order[start[k] : start[k + 1]]:
            hits += slot[d] >= 0
        # Precision is needed at true positives only: between two of them it falls.
        true = np.zeros((areas, thresholds), np.int64)  # so far
        # False positives so far: a detection that overlaps nothing is one at every threshold, or at none.
        false_anywhere, false_here = np.zeros(areas, np.int64), np.zeros((areas, thresholds), np.int64)
        found = np.zeros((areas, thresholds), np.int64)
        precision_at = np.empty((areas, thresholds, hits), np.float64)
        recall_at = np.empty((areas, thresholds, hits), np.float64)
        for d in order[start[k] : start[k + 1]]:
            weight = detection_weight[d] if weighted else 1
            if weight == 0:
                continue
            s = slot[d]
            for a in range(areas):
                if s < 0:
                    if not excused[d, a]:
                        false_anywhere[a] += weight
                    continue
                if truths[a] == 0:
                    continue
                for t in range(thresholds):
                    if outcome[s, a, t] == 1:
                        true[a, t] += weight
                        tp, fp = float(true[a, t]), float(false_anywhere[a] + false_here[a, t])
                        precision_at[a, t, found[a, t]] = tp / (fp + tp + 2.220446049250313e-16)  # np.spacing(1)
                        recall_at[a, t, found[a, t]] = tp / truths[a]
                        found[a, t] += 1
                    elif outcome[s, a, t] == 0 and not excused[d, a]:
                        false_here[a, t] += weight
        for a in range(areas):
            if truths[a] == 0:
                continue
            for t in range(thresholds):
                n = found[a, t]
                recall[t, k, a] = recall_at[a, t, n - 1] if n else 0.0
                for i in range(n - 1, 0, -1):  # the envelope: the best precision at this recall or a higher one
                    if precision_at[a, t, i] > precision_at[a, t, i - 1]:
                        precision_at[a, t, i - 1] = precision_at[a, t, i]
                i = 0
                for r in range(len(recalls)):
                    while i < n and recall_at[a, t, i] < recalls[r]:
                        i += 1
                    precision[t, r, k, a] = precision_at[a, t, i] if i < n else 0.0
