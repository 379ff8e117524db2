"""Boundaries and Boundary IoU as boundary-iou-api (Cheng et al. 2021) has them: dense masks, cv2's erosion, the lot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from oracles import lvis_api
from pycocotools import cocoeval
from pycocotools import mask as coco


def boundary_of(mask: np.ndarray, dilation_ratio: float = 0.02) -> np.ndarray:
    """uint8 (height, width): the mask without its erosion, of which the image's border is a part (mask_to_boundary)."""
    height, width = mask.shape
    iterations = max(1, round(dilation_ratio * np.sqrt(height**2 + width**2)))
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=iterations)
    return mask - eroded[1 : height + 1, 1 : width + 1]


def iou(detections: list[Any], truths: list[Any], crowd: list[int]) -> Any:
    """(D, G): the smaller of mask and boundary IoU, of a crowd the mask IoU (computeBoundaryIoU, compute_iou)."""
    of_masks = np.array(coco.iou(detections, truths, crowd))
    if not len(detections) or not len(truths):
        return of_masks
    edges = [[coco.encode(np.asfortranarray(boundary_of(coco.decode(m)))) for m in ms] for ms in (detections, truths)]
    of_boundaries = np.array(coco.iou(*edges, crowd))
    counted = np.array(crowd) == 0
    of_masks[:, counted] = np.minimum(of_masks[:, counted], of_boundaries[:, counted])
    return of_masks


@contextlib.contextmanager
def in_official_tools() -> Iterator[None]:
    """lvis-api and pycocotools, asked for masks, compute this IoU inside the block."""
    tools = [(cocoeval, "maskUtils")]
    with lvis_api() as lvis:
        tools.append((lvis.eval, "mask_utils"))
    for module, name in tools:
        setattr(module, name, SimpleNamespace(**{**vars(coco), "iou": iou}))
    try:
        yield
    finally:
        for module, name in tools:
            setattr(module, name, coco)
