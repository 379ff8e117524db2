"""What became of every detection and every truth under TIDE's rules, image by image, as tidecv 1.0.1 walks them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fasa.evaluation.codes import MATCHED
from fasa.evaluation.geometry.overlaps import BACKGROUND_IOU, MATCH_IOU, Overlaps  # t_b and t_f of the TIDE paper
from fasa.evaluation.kernels import kernels


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
    detections, truths = len(overlaps.category), len(truth.category)
    matched, taken, claimed = np.zeros(detections, bool), np.zeros(truths, bool), np.zeros(truths, bool)
    kernels.tide_match(walk, *pairs, MATCH_IOU, matched, taken)
    fate, repaired_category = np.full(detections, MATCHED, np.uint8), overlaps.category.copy()
    kernels.tide_explain(
        walk, *pairs, truth.position, overlaps.image, ~truth.verified | truth.not_exhaustive, matched, taken,
        MATCH_IOU, BACKGROUND_IOU, fate, repaired_category, claimed,
    )  # fmt: skip
    return Fates(fate, repaired_category, taken, claimed)
