"""Recipes of detectors: all that decides a trained model but its seed and scale, as data for an MMDetection config."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fasa.strict import Strict
from fasa.tasks.recipe import Recipe


class DetectionData(Strict):
    """A data set in LVIS's or COCO's format, and the sizes of a generated one."""

    name: Literal["lvis", "coco_lt", "glyphs"]
    options: dict[str, int | float | list[int | float]] = {}


class ClassifierLoss(Strict):
    """The box head's classification loss, by the name in :data:`fasa.tasks.detection.configs.LOSSES`."""

    name: Literal["cross_entropy", "eql", "bags", "arcface", "balanced_softmax"] = "cross_entropy"
    options: dict[str, float] = {}


class DetectionSchedule(Strict):
    """``batch_size`` images over all devices, ``warmup`` in iterations; x 0.1 from each milestone, an epoch from 0.

    ``sampler_options`` are further ones of SimCal's sampler: the ``steps`` of an epoch.
    """

    epochs: int = Field(gt=0)
    milestones: tuple[int, ...]
    batch_size: int = Field(16, gt=0)
    lr: float = Field(0.02, gt=0)
    warmup: int = Field(500, ge=0)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    sampler_options: dict[str, int] = {}


class DetectionRecipe(Recipe):
    """One recipe of a detector, complete.

    ``sampler`` is how training images are drawn, ``validation`` what adaptation looks at: the validation images as they
    are, re-sampled by repeat factor, or those with a rare or common object. ``stage_two`` starts from the run
    ``start_from`` and trains a new classifier alone (cRT, BAGS); ``calibrated`` trains SimCal's second head on it.
    """

    kind: ClassVar[str] = "detector"
    marker: ClassVar[str] = "detector"

    data: DetectionData
    detector: Literal["mask_rcnn", "cascade_mask_rcnn"]
    backbone: Literal["r50", "r101", "x101_32x8d"]
    schedule: DetectionSchedule
    sampler: Literal["random", "repeat_factor", "class_aware"] = "random"
    loss: ClassifierLoss = ClassifierLoss()
    validation: Literal["original", "resampled", "balanced"] = "resampled"
    stage_two: bool = False
    calibrated: bool = False
    nms_resampling: bool = False
    instaboost: bool = False
