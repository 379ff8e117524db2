"""What became of every detection and every truth under TIDE's rules, image by image, as tidecv 1.0.1 walks them."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from fasa.evaluation.geometry.overlaps import BACKGROUND_IOU, MATCH_IOU, Overlaps  # t_b and t_f of the TIDE paper

# Fates of a detection: matched, or the kind of error that it is ...
MATCHED, CLS, LOC, BOTH, DUPE, BKG = range(6)
KIND = 0b111
# ... to which may be added:
IGNORED = 8  # neither a true nor a false positive; it may be an error and repair one all the same (since tidecv 1.0.1)
REPAIRS = 16  # without its error it would be the one that finds a truth which nothing matches
FATES = 32


@dataclass(frozen=True)
class Fates:
    """What became of detections (n,) and truths (G,)."""

    fate: np.ndarray  # uint8 (n,): kind + IGNORED + REPAIRS, for the detections walked
    repaired_category: np.ndarray  # int32 (n,): the truth's category for a class error that repairs, else the own one
    taken: np.ndarray  # bool (G,): matched by a detection
    claimed: np.ndarray  # bool (G,): not matched, but a localisation or class error is all that kept a detection off it


def fates(overlaps: Overlaps, walk: np.ndarray) -> Fates:
    """Match and explain the detections ``walk`` (rows, image by image, best score first).

    Detections are ignored where the annotations do not judge them: in LVIS those of a category that is neither
    annotated in nor negative for their image, or that is not annotated exhaustively there; in COCO those that lie by
    more than half in a crowd region of their category. Categories that the annotations do not know are never ignored.
    """
    truth = overlaps.ground_truth
    pair_start = np.zeros(len(overlaps.score) + 1, np.int64)
    np.cumsum(np.bincount(overlaps.detection, minlength=len(overlaps.score)), out=pair_start[1:])
    pairs = (pair_start, overlaps.truth, overlaps.iou, overlaps.category, truth.category, truth.crowd)
    matched, taken = _match(walk, *pairs)
    unjudged = ~truth.verified | truth.not_exhaustive
    fate, repaired_category, claimed = _explain(walk, *pairs, truth.position, overlaps.image, unjudged, matched, taken)
    return Fates(fate, repaired_category, taken, claimed)


@numba.njit(nogil=True, cache=True)
def _match(walk, pair_start, truth, iou, category, truth_category, crowd):
    """Greedy matching: each detection takes the free truth of its class that it overlaps most, if by MATCH_IOU."""
    matched = np.zeros(len(category), np.bool_)
    taken = np.zeros(len(truth_category), np.bool_)
    for d in walk:
        best, best_iou = -1, 0.0
        for p in range(pair_start[d], pair_start[d + 1]):
            g = truth[p]
            # Rows of one image and class are in file order, so that > leaves equal IoUs to the file's first truth.
            if truth_category[g] == category[d] and not crowd[g] and not taken[g] and iou[p] > best_iou:
                best, best_iou = g, iou[p]
        if best_iou >= MATCH_IOU:
            matched[d] = taken[best] = True
    return matched, taken


@numba.njit(nogil=True, cache=True)
def _explain(
    walk, pair_start, truth, iou, category, truth_category, crowd, position, image, unjudged, matched, taken
):  # fmt: skip
    """The error that each unmatched detection is: the first of tidecv's tests that it meets, after all are matched."""
    fate = np.full(len(category), MATCHED, np.uint8)
    repaired_category = category.copy()
    claimed = np.zeros(len(taken), np.bool_)
    for d in walk:
        if matched[d]:
            continue
        ignored = category[d] < unjudged.shape[1] and unjudged[image[d], category[d]]
        same, same_iou = -1, 0.0  # the truth of its class that it overlaps most, taken or not
        other, other_iou = -1, 0.0  # the same of all other classes; of equal IoUs the first in the file
        for p in range(pair_start[d], pair_start[d + 1]):
            g = truth[p]
            if crowd[g]:
                ignored |= truth_category[g] == category[d] and iou[p] > MATCH_IOU
            elif truth_category[g] == category[d]:
                if iou[p] > same_iou:
                    same, same_iou = g, iou[p]
            elif iou[p] > other_iou or (iou[p] == other_iou and position[g] < position[other]):
                other, other_iou = g, iou[p]

        target = -1
        if BACKGROUND_IOU <= same_iou <= MATCH_IOU:
            kind, target = LOC, same
        elif other_iou >= MATCH_IOU:
            kind, target = CLS, other
        elif same_iou >= MATCH_IOU:  # it is not matched, so the truth was taken
            kind = DUPE
        elif max(same_iou, other_iou) <= BACKGROUND_IOU:
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
    return fate, repaired_category, claimed
