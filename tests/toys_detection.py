"""A detector and scenes so small that a test trains several of them in seconds."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mmdet
import numpy as np
import torch
from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.registry import DATASETS, MODELS, TASK_UTILS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch.utils.data import Dataset

import fasa.mmdet.adaptation_hook
import fasa.mmdet.bbox_head
import fasa.mmdet.seeding  # noqa: F401
from fasa.tasks.detection.bookkeeping import BookkeepingHook
from fasa.tasks.task import Run

register_all_modules()
CLASSES, SIDE = 5, 64
_NUMBERS = itertools.count()
COUNTS = [1, 2, 4, 8, 16]
BASES = Path(os.path.dirname(mmdet.__file__)) / ".mim/configs/_base_/models"


@TASK_UTILS.register_module(force=True)
class FirstSampler(RandomSampler):
    """Takes the first candidates instead of random ones, so that it does not matter in which process an image is."""

    def random_choice(self, gallery, num):
        return gallery[:num]


def tiny_detector(cascade: bool = False, sampler: str = "RandomSampler", masks: bool = True, **head: Any) -> ConfigDict:
    """The config of a Mask R-CNN (or cascade) of a few channels; ``head`` goes into every box head."""
    base = "cascade-mask-rcnn_r50_fpn.py" if cascade else "mask-rcnn_r50_fpn.py"
    cfg = Config.fromfile(str(BASES / base)).model
    cfg.backbone = {
        "type": "ResNet",
        "depth": 18,
        "num_stages": 2,
        "base_channels": 4,
        "stem_channels": 4,
        "strides": (1, 2),
        "dilations": (1, 1),
        "out_indices": (0, 1),
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "norm_eval": True,
    }
    cfg.neck.update(in_channels=[4, 8], out_channels=8, num_outs=3)
    cfg.rpn_head.update(in_channels=8, feat_channels=8)
    cfg.rpn_head.anchor_generator.update(scales=[3], strides=[4, 8, 16])
    roi = cfg.roi_head
    for extractor in (roi.bbox_roi_extractor, roi.mask_roi_extractor):
        extractor.update(out_channels=8, featmap_strides=[4, 8])
        extractor.roi_layer.output_size = 3
    if masks:
        roi.mask_head.update(num_convs=1, in_channels=8, conv_out_channels=8, num_classes=CLASSES)
        roi.mask_roi_extractor.roi_layer.output_size = 4
    else:
        roi.mask_head = roi.mask_roi_extractor = None
    heads = roi.bbox_head if cascade else [roi.bbox_head]
    for bbox_head in heads:
        bbox_head.update(in_channels=8, fc_out_channels=12, roi_feat_size=3, num_classes=CLASSES)
        for key, value in head.items():  # replaced, not merged
            bbox_head[key] = copy.deepcopy(value)
    cfg.train_cfg.rpn_proposal.update(nms_pre=60, max_per_img=30)
    cfg.test_cfg.rpn.update(nms_pre=60, max_per_img=30)
    cfg.train_cfg.rpn.sampler.update(type=sampler, num=16)
    for stage in cfg.train_cfg.rcnn if cascade else [cfg.train_cfg.rcnn]:
        stage.sampler.update(type=sampler, num=16)
        stage.mask_size = 8
    return cfg


def fasa_head(**options: Any) -> dict[str, Any]:
    """What turns a box head into one with FASA."""
    return {
        "type": "AugmentedBBoxHead",
        "augmenter": {"name": "fasa", "options": options},
        "class_counts": COUNTS,
    }


def build(cfg: ConfigDict, seed: int = 0) -> torch.nn.Module:
    """The detector of a config in training mode, with weights from a seed."""
    torch.manual_seed(seed)
    detector = MODELS.build(copy.deepcopy(cfg))
    detector.init_weights()
    return detector.train()


@DATASETS.register_module(force=True)
class ToyScenes(Dataset):
    """Noise with coloured rectangles, one colour a class; image ``i`` is the same wherever it is made.

    Args:
        size: number of images.
        first: number of the first image.
        jitter: standard deviation of noise drawn anew at each access, from NumPy's generator.
        objects: rectangles in an image, of classes ``i``, ``i + 1``, …, none of ``missing``.
    """

    def __init__(
        self,
        size: int = 8,
        first: int = 0,
        jitter: float = 0.0,
        objects: int = 2,
        missing: int | None = None,
        test_mode: bool = False,
        classes: str = "abcde",
    ) -> None:
        self.size, self.first, self.jitter, self.objects, self.missing = size, first, jitter, objects, missing
        self.test_mode, self.metainfo = test_mode, {"classes": tuple(classes)}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        number = index + self.first
        rng = np.random.default_rng(number)
        image = rng.normal(0, 10, (SIDE, SIDE, 3)) + 100
        boxes, labels, masks = [], [], np.zeros((self.objects, SIDE, SIDE), np.uint8)
        for k in range(self.objects):
            label = (number + k) % CLASSES
            label = (label + 1) % CLASSES if label == self.missing else label
            # One half of the image each, so that none hides another.
            x, y = rng.integers(0, 8) + 32 * (k % 2), rng.integers(0, 30)
            w, h = rng.integers(14, 24, 2)
            image[y : y + h, x : x + w] = np.array([label * 50, 255 - label * 50, label % 2 * 200])
            masks[k, y : y + h, x : x + w] = 1
            boxes.append([x, y, x + w, y + h])
            labels.append(label)
        image = image + np.random.normal(0, self.jitter, image.shape) if self.jitter else image
        pixels = torch.from_numpy(image).permute(2, 0, 1).float()
        return {"inputs": pixels, "data_samples": sample(number, boxes, labels, masks)}


def sample(number: int, boxes: list, labels: list[int], masks: np.ndarray) -> DetDataSample:
    """Ground truth of an image of side ``SIDE``."""
    shape = (SIDE, SIDE)
    made = DetDataSample()
    made.set_metainfo(
        {"img_id": number, "img_shape": shape, "ori_shape": shape, "pad_shape": shape, "scale_factor": (1.0, 1.0)}
    )
    made.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes).float().reshape(-1, 4),
        labels=torch.tensor(labels).long(),
        masks=BitmapMasks(masks, SIDE, SIDE),
    )
    made.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long())
    return made


def batch(detector: torch.nn.Module, *numbers: int, **scenes: Any) -> dict[str, Any]:
    """Scenes ``numbers``, ready for ``detector.loss(**batch)``."""
    items = [ToyScenes(1, number, **scenes)[0] for number in numbers]
    data = {key: [item[key] for item in items] for key in ("inputs", "data_samples")}
    data = detector.data_preprocessor(data, training=True)
    return {"batch_inputs": data["inputs"], "batch_data_samples": data["data_samples"]}


def image_batches(images: int = 3, size: tuple[int, int] = (SIDE, SIDE)) -> list[dict[str, Any]]:
    """Test batches of two; ``size`` is the height and width that the images had before they were resized."""
    items = [ToyScenes(images)[i] for i in range(images)]
    for item in items:
        item["data_samples"].set_metainfo({"ori_shape": size, "scale_factor": (SIDE / size[1], SIDE / size[0])})
    return [
        {key: [item[key] for item in items[i : i + 2]] for key in ("inputs", "data_samples")}
        for i in range(0, images, 2)
    ]


def runner(
    folder: Path,
    model: ConfigDict,
    *hooks: dict | Hook,
    epochs: int = 3,
    train: dict | None = None,
    batch_size: int = 2,
    rate: float = 0.02,
    shuffle: bool = True,
    **options: Any,
) -> Runner:
    """A runner that trains a detector on ToyScenes with an epoch's random numbers seeded, in ``folder``."""
    return Runner(
        model=copy.deepcopy(model),
        work_dir=str(folder),
        train_dataloader={
            "dataset": {"type": "ToyScenes", **(train or {})},
            "sampler": {"type": "DefaultSampler", "shuffle": shuffle},
            "batch_size": batch_size,
            "num_workers": 0,
        },
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": rate, "momentum": 0.9}},
        param_scheduler=[{"type": "MultiStepLR", "milestones": [2], "by_epoch": True}],
        custom_hooks=[{"type": "EpochSeedHook"}, *hooks],
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1}},
        randomness={"seed": 3},
        default_scope="mmdet",
        log_level="WARNING",
        # mmengine keeps loggers and message hubs of a process by name
        experiment_name=f"toy{next(_NUMBERS)}",
        **options,
    )


def held_out(**scenes: Any) -> dict[str, Any]:
    """A dataloader config for the AdaptationHook."""
    scenes = {"size": 4, "first": 100, **scenes}
    return {"dataset": {"type": "ToyScenes", **scenes}, "batch_size": 2, "num_workers": 0}


def bookkeeping(check: Callable[[], None] = lambda: None) -> BookkeepingHook:
    """The hook of a job with the fingerprint "fingerprint", under a lease that is looked at by ``check``."""
    job = SimpleNamespace(run=Run("toy", 0), fingerprint="fingerprint", root=Path("."))
    return BookkeepingHook(job, SimpleNamespace(check=check))
