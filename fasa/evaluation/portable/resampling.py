"""Compiled loops of the bootstrap: the curves of a class for several draws at once, draws in the innermost loop."""

from __future__ import annotations

import numpy as np

from fasa.evaluation.codes import DRAWS, EVERYWHERE
from fasa.evaluation.portable.compiled import compiled


@compiled
def draw_curves(
    lo, hi, image, true, false, start, truth_image, truth_start, weight, recalls, truths, precision, recall
):  # fmt: skip
    """Fill truths int64 (K, D), precision (D, K, T, R) and recall (D, K, T) of the classes ``lo`` to ``hi``.

    A detection's image, and bits of the thresholds where it is a true or a false positive; ``weight`` int32 (N, D): how
    often each draw has each image. A class without truth in a draw is left as it is there.
    """
    needed = np.empty((DRAWS, len(recalls)), np.int32)
    for k in range(lo, hi):
        total = truths[k]
        total[:] = 0
        for i in range(truth_start[k], truth_start[k + 1]):
            of_image = weight[truth_image[i]]
            for b in range(DRAWS):
                total[b] += of_image[b]
        if not total.any():
            continue
        _true_positives_needed(total, recalls, needed)
        hits = 0
        for e in range(start[k], start[k + 1]):
            hits += true[e] != 0 or false[e] != EVERYWHERE
        # Of each hit, side by side for the ten walks below: bits, weights, and the detections before that are false at
        # every threshold.
        hit_true, hit_false = np.empty(hits, np.uint16), np.empty(hits, np.uint16)
        hit_weight, false_anywhere = np.empty((hits, DRAWS), np.int32), np.empty((hits, DRAWS), np.int32)
        running = np.zeros(DRAWS, np.int32)
        h = 0
        for e in range(start[k], start[k + 1]):
            of_image = weight[image[e]]
            if true[e] == 0 and false[e] == EVERYWHERE:
                for b in range(DRAWS):
                    running[b] += of_image[b]
            else:
                hit_true[h], hit_false[h] = true[e], false[e]
                for b in range(DRAWS):
                    hit_weight[h, b], false_anywhere[h, b] = of_image[b], running[b]
                h += 1
        best = np.empty((total.max() + 1, DRAWS))
        for t in range(precision.shape[2]):
            found = _best_precision(t, hit_true, hit_false, hit_weight, false_anywhere, best)
            for b in range(DRAWS):
                if total[b]:
                    recall[b, k, t] = float(found[b]) / total[b]
                    for r in range(len(recalls)):
                        precision[b, k, t, r] = best[needed[b, r], b]


@compiled
def _true_positives_needed(total, recalls, needed):
    """Fewest true positives with which tp / total, as a float, reaches each recall: int32 (D, R)."""
    for b in range(DRAWS):
        tp = 0
        for r in range(len(recalls)):
            tp = max(tp, np.int64(recalls[r] * total[b]) - 1)  # the product may be rounded up
            while total[b] and float(tp) / total[b] < recalls[r]:
                tp += 1
            needed[b, r] = tp


@compiled
def _best_precision(t, true, false, weight, false_anywhere, best):
    """The highest precision at threshold ``t`` with m true positives or more, ``best`` (m, D); all of them, (D,)."""
    best[:] = 0
    tp, fp = np.zeros(DRAWS, np.int32), np.zeros(DRAWS, np.int32)
    for h in range(len(true)):
        if true[h] >> t & 1:
            for b in range(DRAWS):
                tp[b] += weight[h, b]
                positives = float(tp[b])
                # np.spacing(1), as the official tools add it
                precision = positives / (float(false_anywhere[h, b] + fp[b]) + positives + 2.220446049250313e-16)
                best[tp[b], b] = max(best[tp[b], b], precision)
        elif false[h] >> t & 1:
            for b in range(DRAWS):
                fp[b] += weight[h, b]
    for m in range(tp.max() - 1, -1, -1):
        for b in range(DRAWS):
            best[m, b] = max(best[m, b], best[m + 1, b])
    return tp


@compiled
def transposed(table, columns, turned):
    """Fill ``turned`` (X, n) with n rows of ``table`` (K, X), transposed; a cache line of eight at a time."""
    across, down = len(columns), table.shape[1]
    whole = across - across % 8
    for c in range(0, whole, 8):
        r0, r1, r2, r3 = table[columns[c]], table[columns[c + 1]], table[columns[c + 2]], table[columns[c + 3]]
        r4, r5, r6, r7 = table[columns[c + 4]], table[columns[c + 5]], table[columns[c + 6]], table[columns[c + 7]]
        for x in range(down):
            line = turned[x, c : c + 8]
            line[0], line[1], line[2], line[3] = r0[x], r1[x], r2[x], r3[x]
            line[4], line[5], line[6], line[7] = r4[x], r5[x], r6[x], r7[x]
    for x in range(down):
        for c in range(whole, across):
            turned[x, c] = table[columns[c], x]
