"""Non-maximum suppression on a processor, class by class: mmcv compares each box with those of all classes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fasa.evaluation.portable.compiled import compiled


@contextmanager
def nms_by_class(detector: Any) -> Iterator[None]:
    """Inside, a detector on a processor compares only boxes that share a column of pixels; the result is the same.

    mmcv lays the classes side by side, so that no two of them overlap, and then compares all boxes with all. On a
    processor that takes most of an inference with 240 classes; a GPU is quicker with all at once.
    """
    settings = detector.roi_head.test_cfg.nms
    before = dict(settings)
    if next(detector.parameters()).device.type == "cpu":
        settings.update(type=_nms, split_thr=sys.maxsize)
    try:
        yield
    finally:
        settings.clear()
        settings.update(before)


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> tuple[Tensor, Tensor]:
    """What ``mmcv.ops.nms`` gives: the boxes kept and their scores, ``[k, 5]``, and their places, by falling score."""
    left, by_column = boxes[:, 0].sort()
    reach = boxes[by_column, 2].cummax(0).values
    strips = torch.zeros(len(boxes), dtype=torch.long)
    strips[by_column[1:]] = (left[1:] > reach[:-1]).cumsum(0)
    order = scores.sort(descending=True).indices  # not stable, as theirs is not: of equals the same one comes first
    arrays = (tensor.numpy() for tensor in (boxes, order, strips))
    places = order[torch.from_numpy(_kept(*arrays, np.float32(iou_threshold)))]
    return torch.cat([boxes[places], scores[places, None]], 1), places


@compiled
def _kept(boxes: np.ndarray, order: np.ndarray, strips: np.ndarray, threshold: np.float32) -> np.ndarray:
    """Which of ``order`` are kept: with no box kept before them in their strip they have an IoU above ``threshold``."""
    last = np.full(strips.max() + 1, -1)  # of the boxes kept in a strip the last one, and the one before each
    before = np.empty(len(boxes), np.int64)
    kept = np.zeros(len(order), np.bool_)
    for rank, this in enumerate(order):
        x1, y1, x2, y2 = boxes[this]
        area = (x2 - x1) * (y2 - y1)
        other = last[strips[this]]
        while other >= 0:
            left, top, right, bottom = boxes[other]
            width, height = min(x2, right) - max(x1, left), min(y2, bottom) - max(y1, top)
            if width > 0 and height > 0:
                inside = width * height
                if inside / ((right - left) * (bottom - top) + area - inside) > threshold:
                    break
            other = before[other]
        if other < 0:
            kept[rank] = True
            before[this], last[strips[this]] = last[strips[this]], this
    return kept
