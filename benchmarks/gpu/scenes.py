"""Mask R-CNN with the classes of LVIS, and made-up images with objects, so that a step needs no data."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData

import fasa.mmdet  # noqa: F401  # registers its box head
from benchmarks.gpu.here import ROOT
from fasa.tasks.detection.configs import heads, layered

CONFIG = Path("configs/mmdet/_base_/mask-rcnn_r50_fpn_lvis.py")
SMALL = Path("configs/mmdet/scales/small.py")


@dataclass(frozen=True)
class Size:
    """Of an image, of a batch, of the model, and how many steps are timed."""

    height: int = 800
    width: int = 1333
    images: int = 2
    objects: int = 12
    classes: int = 1203
    steps: int = 24
    files: tuple[Path, ...] = (CONFIG,)


def detector(size: Size, augmenter: dict[str, Any] | None) -> TwoStageDetector:
    """In training mode on the CPU, with first weights from a seed."""
    model = deepcopy(_config(size.files)).model
    model.backbone.init_cfg = None  # no download
    counts = [max(1, int(50_000 * 0.99**label)) for label in range(size.classes)]
    for head in heads(model.roi_head.bbox_head):
        head.update(type="AugmentedBBoxHead", num_classes=size.classes)
        if augmenter:
            head.update(augmenter=augmenter, class_counts=counts)
    for head in heads(model.roi_head.mask_head):
        head.num_classes = size.classes
    torch.manual_seed(0)
    made = MODELS.build(model)
    made.init_weights()
    return made.train()


@cache
def _config(files: tuple[Path, ...]) -> Config:
    return layered([ROOT / path for path in files])


def batch(size: Size, seed: int) -> dict[str, Any]:
    """A batch as a data loader gives it: noise, and rectangles for objects."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (size.images, 3, size.height, size.width), dtype=np.uint8)
    samples = [_sample(size, rng, number) for number in range(size.images)]
    return {"inputs": list(torch.from_numpy(noise)), "data_samples": samples}


def _sample(size: Size, rng: np.random.Generator, number: int) -> DetDataSample:
    shape, n = (size.height, size.width), size.objects
    corner = rng.uniform(0, 0.6, (n, 2)) * shape[::-1]
    extent = np.maximum(rng.uniform(0.05, 0.4, (n, 2)) * shape[::-1], 4)
    boxes = np.concatenate([corner, corner + extent], 1).astype(np.float32)
    masks = np.zeros((n, *shape), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = 1
    shapes = dict.fromkeys(("img_shape", "ori_shape", "pad_shape", "batch_input_shape"), shape)
    sample = DetDataSample(metainfo={"img_id": number, "scale_factor": (1.0, 1.0), **shapes})
    labels = torch.from_numpy(rng.integers(0, size.classes, n))
    sample.gt_instances = InstanceData(bboxes=torch.from_numpy(boxes), labels=labels, masks=BitmapMasks(masks, *shape))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long())
    return sample
