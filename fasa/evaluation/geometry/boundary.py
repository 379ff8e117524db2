"""Boundary IoU (Cheng et al., CVPR 2021): of the parts of two masks that lie close to their contours.

As the authors' boundary-iou-api has it: the boundary is the mask without its erosion by a square, distance pixels to
each side, where everything outside the image is background; two masks overlap as the smaller of mask and boundary IoU.
A boundary is only made where the masks' own IoU allows a pair, and from runs to runs, inside the tight box: the runs of
each column shrink at both ends, and what all columns of a window share is a running minimum (van Herk 1992), of runs.
"""

from __future__ import annotations

import numpy as np

from fasa.evaluation.io.detection_columns import Masks
from fasa.evaluation.io.ground_truth import GroundTruth
from fasa.evaluation.kernels import kernels

DISTANCE = 0.02  # of the image's diagonal


def distances(sizes: np.ndarray) -> np.ndarray:
    """How far a boundary reaches into a mask, in pixels, int32 (N,), at least 1; ``sizes`` (N, 2): height, width."""
    height, width = sizes.T.astype(np.int64)
    return np.maximum(1, np.rint(DISTANCE * np.sqrt(height**2 + width**2))).astype(np.int32)


def boundary_iou(
    detection: np.ndarray, truth_row: np.ndarray, iou: np.ndarray, image: np.ndarray, masks: Masks, truth: GroundTruth
) -> np.ndarray:
    """The smaller of mask and boundary IoU, float64 (P,); with a crowd the mask IoU, as the authors have it.

    Args:
        detection: (P,), ascending: row in ``masks`` of each pair.
        truth_row: (P,): row in ``truth``.
        iou: (P,): IoU of the masks.
        image: (n,): index of each detection's image.
    """
    distance, heights = distances(truth.image_sizes), truth.image_sizes[:, 0].astype(np.int64)
    rows, place = np.unique(truth_row.astype(np.int64), return_inverse=True)
    runs, start = kernels.truth_boundaries(
        rows, truth.image, truth.crowd, truth.tight, truth.runs, truth.run_start, heights, distance
    )
    smaller = iou.copy()
    kernels.smaller_iou(
        detection, rows, place, image, masks.tight, masks.counts, masks.counts_start, truth.crowd, truth.tight,
        runs, start, heights, distance, smaller,
    )  # fmt: skip
    return smaller
