"""Greedy matching and the tables of average precision: see ``fasa.evaluation.metrics``."""

from __future__ import annotations

import numpy as np

from fasa.evaluation.codes import COUNTED, IGNORED_TRUTH, UNMATCHED
from fasa.evaluation.portable.compiled import compiled


@compiled
def match(order, outcome_row, first, truth, iou, truth_ignored, crowd, thresholds, outcome):
    """Outcome of every detection that overlaps something: uint8 (m, A, T). ``order``: such detections, best first."""
    areas = truth_ignored.shape[1]
    taken = np.zeros((len(truth_ignored), areas, len(thresholds)), np.bool_)
    for d in order:
        s = outcome_row[d]
        for a in range(areas):
            for t in range(len(thresholds)):
                best, best_iou, best_ignored = -1, thresholds[t], True
                for p in range(first[s], first[s + 1]):  # in the order of the file
                    g = truth[p]
                    ignored = truth_ignored[g, a]
                    if (taken[g, a, t] and not crowd[g]) or (ignored and not best_ignored):
                        continue
                    if ignored == best_ignored:
                        better = iou[p] >= best_iou
                    else:  # the first counted one, whatever an ignored one had
                        better = iou[p] >= thresholds[t]
                    if better:
                        best, best_iou, best_ignored = g, iou[p], ignored
                if best >= 0:
                    taken[best, a, t] = True
                    outcome[s, a, t] = IGNORED_TRUTH if best_ignored else COUNTED


@compiled
def accumulate(
    lo, hi, order, start, truth_rows, truth_start, outcome_row, outcome, ignored_unmatched,
    truth_ignored, recalls, precision, recall,
):  # fmt: skip
    areas, thresholds = recall.shape[:2]
    for k in range(lo, hi):
        truths = np.zeros(areas, np.int64)  # that count
        for g in truth_rows[truth_start[k] : truth_start[k + 1]]:
            for a in range(areas):
                if not truth_ignored[g, a]:
                    truths[a] += 1
        if not truths.any():
            continue
        hits = 0
        for d in order[start[k] : start[k + 1]]:
            hits += outcome_row[d] >= 0
        # Precision is needed at true positives only: between two of them it falls.
        true = np.zeros((areas, thresholds), np.int64)  # so far
        # False positives so far: a detection that overlaps nothing is one at every threshold, or at none.
        false_anywhere, false_here = np.zeros(areas, np.int64), np.zeros((areas, thresholds), np.int64)
        found = np.zeros((areas, thresholds), np.int64)
        precision_at = np.empty((areas, thresholds, hits), np.float64)
        recall_at = np.empty((areas, thresholds, hits), np.float64)
        for d in order[start[k] : start[k + 1]]:
            s = outcome_row[d]
            for a in range(areas):
                if s < 0:
                    if not ignored_unmatched[d, a]:
                        false_anywhere[a] += 1
                    continue
                if truths[a] == 0:
                    continue
                for t in range(thresholds):
                    if outcome[s, a, t] == COUNTED:
                        true[a, t] += 1
                        tp, fp = float(true[a, t]), float(false_anywhere[a] + false_here[a, t])
                        precision_at[a, t, found[a, t]] = tp / (fp + tp + 2.220446049250313e-16)  # np.spacing(1)
                        recall_at[a, t, found[a, t]] = tp / truths[a]
                        found[a, t] += 1
                    elif outcome[s, a, t] == UNMATCHED and not ignored_unmatched[d, a]:
                        false_here[a, t] += 1
        for a in range(areas):
            if truths[a] == 0:
                continue
            for t in range(thresholds):
                n = found[a, t]
                recall[a, t, k] = recall_at[a, t, n - 1] if n else 0.0
                for i in range(n - 1, 0, -1):  # the envelope: the best precision at this recall or a higher one
                    if precision_at[a, t, i] > precision_at[a, t, i - 1]:
                        precision_at[a, t, i - 1] = precision_at[a, t, i]
                i = 0
                for r in range(len(recalls)):
                    while i < n and recall_at[a, t, i] < recalls[r]:
                        i += 1
                    precision[a, t, r, k] = precision_at[a, t, i] if i < n else 0.0
