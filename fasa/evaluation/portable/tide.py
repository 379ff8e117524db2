"""TIDE's matching, errors and curves: see ``fasa.evaluation.metrics.tide_matching`` and ``tide``."""

from __future__ import annotations

import numpy as np

from fasa.evaluation.codes import ABSENT, BKG, BOTH, CLS, DUPE, FALSE, IGNORED, LAST, LAST_RECALL, LOC, REPAIRS, TRUE
from fasa.evaluation.portable.compiled import compiled


@compiled
def tide_match(walk, pair_start, truth, iou, category, truth_category, crowd, match_iou, matched, taken):
    """Greedy matching: each detection takes the free truth of its class that it overlaps most, if by match_iou."""
    for d in walk:
        best, best_iou = -1, 0.0
        for p in range(pair_start[d], pair_start[d + 1]):
            g = truth[p]
            # Rows of one image and class are in file order, so that > leaves equal IoUs to the file's first truth.
            if truth_category[g] == category[d] and not crowd[g] and not taken[g] and iou[p] > best_iou:
                best, best_iou = g, iou[p]
        if best_iou >= match_iou:
            matched[d] = taken[best] = True


@compiled
def tide_explain(
    walk, pair_start, truth, iou, category, truth_category, crowd, position, image, unjudged, matched, taken,
    match_iou, background_iou, fate, repaired_category, claimed,
):  # fmt: skip
    """The error that each unmatched detection is: the first of tidecv's tests that it meets, after all are matched."""
    for d in walk:
        if matched[d]:
            continue
        ignored = category[d] < unjudged.shape[1] and unjudged[image[d], category[d]]
        same, same_iou = -1, 0.0  # the truth of its class that it overlaps most, taken or not
        other, other_iou = -1, 0.0  # the same of all other classes; of equal IoUs the first in the file
        for p in range(pair_start[d], pair_start[d + 1]):
            g = truth[p]
            if crowd[g]:
                ignored |= truth_category[g] == category[d] and iou[p] > match_iou
            elif truth_category[g] == category[d]:
                if iou[p] > same_iou:
                    same, same_iou = g, iou[p]
            elif iou[p] > other_iou or (iou[p] == other_iou and position[g] < position[other]):
                other, other_iou = g, iou[p]

        target = -1
        if background_iou <= same_iou <= match_iou:
            kind, target = LOC, same
        elif other_iou >= match_iou:
            kind, target = CLS, other
        elif same_iou >= match_iou:  # it is not matched, so the truth was taken
            kind = DUPE
        elif max(same_iou, other_iou) <= background_iou:
            kind = BKG
        else:
            kind = BOTH

        # A truth is repaired by the best-scored detection that claims it, which is the first here, whatever its score.
        # (tidecv begins at the score -1 and fails with a KeyError where all claims to a truth are at or below that.)
        repairs = target >= 0 and not taken[target] and not claimed[target]
        if repairs:
            claimed[target] = True
            if kind == CLS:
                repaired_category[d] = truth_category[target]
        fate[d] = kind + IGNORED * ignored + REPAIRS * repairs


@compiled
def tide_curves(fate, score, start, truths, role, errors_first, ap, points):
    """AP in points (classes,), 0 for a class without truth, and the number of detections in its curve (classes,).

    tidecv lists errors before true positives once it has repaired something (``errors_first``), and equal scores keep
    that order; in the first list they keep the order of the images.
    """
    classes = len(truths)
    precision = np.empty(max(1, truths.max()) if classes else 1)  # at each true positive
    for c in range(classes):
        true, false = 0, 0
        low = start[c]
        while low < start[c + 1]:
            high = low + 1
            while errors_first and high < start[c + 1] and score[high] == score[low]:
                high += 1
            for errors in (True, False):
                for i in range(low, high):
                    kind = role[fate[i]]
                    if kind == ABSENT or (kind != TRUE) != errors:
                        continue
                    points[c] += 1
                    if kind == FALSE:
                        false += 1
                    elif kind != LAST:
                        true += 1
                        precision[true - 1] = true / (true + false)
            low = high
        for i in range(true - 1, 0, -1):  # the envelope: the best precision at this recall or a higher one
            precision[i - 1] = max(precision[i - 1], precision[i])
        total, i = 0.0, 0
        for r in range(LAST_RECALL + 1):
            while i < true and (i + 1) / truths[c] < r / LAST_RECALL:
                i += 1
            if i == true:
                break
            total += precision[i]
        ap[c] = total / (LAST_RECALL + 1) * 100
