"""Compiled loops of LRP: the IoU of each match, and every class's best prefix of its detections."""

from __future__ import annotations

import numpy as np

from fasa.evaluation.codes import COUNTED, UNMATCHED
from fasa.evaluation.portable.compiled import compiled


@compiled
def matched_iou(order, outcome_row, outcome, first, truth, iou, truth_ignored, found):
    """Fill ``found`` (m,), 0 before: IoU of each detection with the truth that it took at threshold 0, area range 0.

    Matching is known; this only says whom: of the counted truths still free the one of highest IoU, the last of equals.
    ``first`` (m + 1,): where each row's pairs begin in ``truth`` and ``iou``.
    """
    taken = np.zeros(len(truth_ignored), np.bool_)
    for d in order:
        s = outcome_row[d]
        if s < 0 or outcome[s, 0, 0] != COUNTED:
            continue
        best = -1
        for p in range(first[s], first[s + 1]):
            g = truth[p]
            if not taken[g] and not truth_ignored[g, 0] and iou[p] >= found[s]:
                best, found[s] = g, iou[p]
        taken[best] = True


@compiled
def optima(order, start, outcome_row, outcome, ignored_unmatched, score, iou, truths, least_iou, columns):
    """Fill ``columns`` (5, K): oLRP, its localisation, FP and FN components, and the score where it is reached.

    The operations and their order are those of the authors' code, so that the bits are.
    """
    for k in range(len(truths)):
        if truths[k] == 0:
            continue
        tp, fp, total_iou = 0, 0, 0.0
        lowest = np.inf
        for d in order[start[k] : start[k + 1]]:
            s = outcome_row[d]
            fate = outcome[s, 0, 0] if s >= 0 else UNMATCHED
            if fate == COUNTED:
                tp += 1
                total_iou += iou[s]
            elif fate == UNMATCHED and not ignored_unmatched[d, 0]:
                fp += 1
            fn = truths[k] - tp
            error = ((tp - total_iou) / (1 - least_iou) + fp + fn) / (tp + fp + fn)
            if error < lowest:  # of equals the first, the highest score
                lowest = error
                columns[0, k] = error
                columns[1, k] = (tp - total_iou) / tp if tp else np.nan
                columns[2, k] = fp / (tp + fp) if tp + fp else np.nan
                columns[3, k], columns[4, k] = fn / truths[k], score[d]
        if tp == 0:  # no score is any better: everything is missed
            columns[0, k], columns[3, k] = 1.0, 1.0
            columns[1, k] = columns[2, k] = columns[4, k] = np.nan
