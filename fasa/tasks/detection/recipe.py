"""Recipes of detectors: all that decides a trained model but its seed and scale, as data for an MMDetection config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fasa.signatures import Choice, OneOf, Options, options
from fasa.strict import Strict
from fasa.tasks.recipe import Augmentation, Recipe, joining

Backbone = Annotated[str, OneOf(("r50", "r101", "x101_32x8d"))]
DataName = Annotated[str, OneOf(("lvis", "coco_lt", "glyphs"))]


class RoIAugmentation(Augmentation):
    """An augmenter in the training of a detector."""

    known, refused = joining("RoIContext")


class DetectionData(Choice):
    """A data set in LVIS's or COCO's format, and the sizes of a generated one."""

    known = {"lvis": (), "coco_lt": (), "glyphs": ("fasa.datasets.glyphs.spec:GlyphScenes",)}


class ClassifierLoss(Choice):
    """The box head's classification loss, and what its constructor takes."""

    known = {
        "cross_entropy": (),
        "eql": ("fasa.mmdet.losses.eql:EqualizationLoss",),
        "bags": ("fasa.mmdet.losses.bags:BalancedGroupSoftmax",),
        "arcface": ("fasa.mmdet.losses.arcface:ArcFaceAngular",),
        "balanced_softmax": ("fasa.mmdet.losses.balanced_softmax:BalancedSoftmax",),
    }

    name: str = "cross_entropy"

    @classmethod
    def options_of(cls, name: str) -> Options:
        return options(*cls.known[name], less=("num_classes",))  # the data decide them


class DetectionSchedule(Strict):
    """Learning rate by epoch, counted from 0, and batch size; x 0.1 from each milestone on."""

    renamed: ClassVar[dict[str, str]] = {
        "rate": "lr",
        "drops": "milestones",
        "batch": "batch_size",
        "sampler": "sampler_options",
    }

    epochs: int = Field(gt=0, description="Epochs.")
    milestones: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        description="From each of these epochs on the rate is a tenth."
    )
    batch_size: int = Field(16, gt=0, description="Images of a step, over all devices.")
    lr: float = Field(0.02, gt=0, description="Learning rate.")
    warmup: int = Field(500, ge=0, description="Iterations over which the rate rises linearly from a thousandth.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="The optimizer.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    sampler_options: dict[Literal["steps"], Annotated[int, Field(gt=0)]] = Field(
        {}, description="Of SimCal's sampler alone: the `steps` of an epoch."
    )


class DetectionRecipe(Recipe):
    """One recipe of a detector, complete."""

    kind: ClassVar[str] = "detector"
    marker: ClassVar[str] = "config"
    renamed: ClassVar[dict[str, str]] = {"detector": "config", "backbone": "config"}

    augmenter: RoIAugmentation = Field(RoIAugmentation(), description="What makes virtual examples.")
    data: DetectionData = Field(description="The data set.")
    config: str = Field(
        pattern="^[A-Za-z0-9.-]+_[A-Za-z0-9.-]+_fpn_[A-Za-z0-9.-]+$",
        max_length=100,
        description="A file of configs/mmdet/_base_; its name says detector, backbone, neck and data, as MMDetection's "
        "do.",
        examples=[
            "cascade-mask-rcnn_r101_fpn_lvis",
            "cascade-mask-rcnn_r50_fpn_lvis",
            "mask-rcnn_r101_fpn_lvis",
            "mask-rcnn_r50_fpn_coco-lt",
            "mask-rcnn_r50_fpn_lvis",
            "mask-rcnn_x101-32x8d_fpn_lvis",
        ],
    )
    schedule: DetectionSchedule = Field(description="Epochs, batch size, learning rate.")
    sampler: Literal["random", "repeat_factor"] = Field("random", description="How training images are drawn.")
    loss: ClassifierLoss = Field(ClassifierLoss(), description="The box head's classification loss.")
    validation: Literal["original", "resampled", "balanced"] = Field(
        "resampled",
        description="What adaptation looks at: the validation images as they are, re-sampled by repeat factor, or "
        "those with a rare or common object.",
    )
    stage_two: bool = Field(
        False, description="Start from the run `start_from` and train a new classifier alone (cRT, BAGS)."
    )
    calibrated: bool = Field(False, description="Train SimCal's second head on the run `start_from`.")
    nms_resampling: bool = Field(False, description="Forest R-CNN's NMS re-sampling of proposals.")
    instaboost: bool = Field(False, description="Paste training objects beside themselves.")

    @property
    def detector(self) -> str:
        """``mask_rcnn`` or ``cascade_mask_rcnn``."""
        return self.config.split("_")[0].replace("-", "_")

    @property
    def backbone(self) -> str:
        """``r50``, ``r101`` or ``x101_32x8d``, as scales call it."""
        return self.config.split("_")[1].replace("-", "_")

    def hashed(self) -> dict[str, Any]:
        # Of ``config`` its parts, as recipes said them when the first runs were trained.
        found = super().hashed() | {"detector": self.detector, "backbone": self.backbone}
        del found["config"]
        return found

    @model_validator(mode="after")
    def _builds_on_a_run(self) -> Self:
        if (self.stage_two or self.calibrated) != (self.start_from is not None):
            raise ValueError("'start_from' goes with 'stage_two' or 'calibrated', and only with them")
        return self

    @model_validator(mode="after")
    def _has_parts_that_work_together(self) -> Self:
        others = {
            "stage_two": self.stage_two,
            "nms_resampling": self.nms_resampling,
            "sampler": self.sampler != "random",
            "loss": self.loss.name != "cross_entropy",
            "augmenter": self.augmenter.name != "none",
        }
        if self.calibrated and (lost := [name for name, given in others.items() if given]):
            raise ValueError(f"'calibrated' has a head and a sampler of its own, without '{lost[0]}'; keep one of them")
        if self.nms_resampling and self.stage_two:
            raise ValueError("'nms_resampling' and 'stage_two' are box heads of two kinds; keep one of them")
        if self.detector != "mask_rcnn" and (self.nms_resampling or self.calibrated):
            key = "calibrated" if self.calibrated else "nms_resampling"
            raise ValueError(f"'{key}' wants the one box head of a Mask R-CNN; leave it out, or change 'config'")
        return self


def manifest_path(root: Path, data: Choice) -> Path:
    """Where the manifest of a data set lies when it is prepared: a folder for each choice of its options."""
    cut = "-".join(f"{key}-{_short(value)}" for key, value in data.options.items()) or "official"
    return root / "resources" / data.name / cut / "manifest.json"


def _short(value: Any) -> str:
    return "to".join(map(str, value)) if isinstance(value, list) else f"{value:g}"
