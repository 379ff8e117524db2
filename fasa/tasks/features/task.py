"""Detectors on fixed features: LVIS's own classes and counts, the box head's classifier, and no images."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fasa.datasets import lvis_counts
from fasa.errors import UserError
from fasa.tasks.detection.recipe import DetectionRecipe, manifest_path
from fasa.tasks.features.geometry import EACH, FOREGROUND, ITERATION, PER_PROCESS, SAMPLED, Geometry
from fasa.tasks.features.measured import COMPARED, MEASURED
from fasa.tasks.features.recipe import FeaturesRecipe
from fasa.tasks.features.scale import FeaturesScale
from fasa.tasks.recipe import joining
from fasa.tasks.task import Job, Run, Task

_, REFUSED = joining("TrainingContext")  # augmenters of detectors that this training does not call


class FixedFeatures(Task):
    """A loop of its own around the losses and augmenters of box heads."""

    name = "features"
    recipe_model = DetectionRecipe
    scale_model = FeaturesScale
    measurements = MEASURED
    compared = COMPARED
    packages = ("onedl-mmdetection", "onedl-mmcv")
    optional_measurements = ("norcal",)
    measuring_version = 3  # 1 had no checksum, 2 no least score
    # Which classes lie side by side is drawn by chance here, so that a picture of them by name would mislead.
    undrawn = frozenset({"gains", "tide_errors", "instance_bins", "qualitative", "class_groups"})

    def at_scale(self, recipe: DetectionRecipe, scale: FeaturesScale, where: str) -> FeaturesRecipe:
        return scale.apply(recipe, where)

    def unsupported_reason(self, recipe: DetectionRecipe, scale: FeaturesScale) -> str | None:
        lacking = {
            "but the classes of LVIS": recipe.data.name != "lvis",
            "but one kind of features": (recipe.detector, recipe.backbone) != ("mask_rcnn", "r50"),
            "no images": recipe.instaboost,
            "no proposals": recipe.nms_resampling or recipe.calibrated,
        }
        if (refused := REFUSED.get(recipe.augmenter.name)) is not None:
            return refused.training_has
        return next((reason for reason, lacks in lacking.items() if lacks), None)

    def decided_by(self, declared: Any, recipe: FeaturesRecipe, scale: FeaturesScale, root: Path) -> dict[str, Any]:
        of_regions = scale.model_dump(
            include={"processes", "objects_per_class", "background", "held_out", "test_background"}
        )
        constants = EACH, FOREGROUND, ITERATION, PER_PROCESS, SAMPLED, lvis_counts.DRAWN
        return {"geometry": asdict(Geometry(**scale.geometry)), "constants": constants, **of_regions}

    def training_seconds(self, recipe: FeaturesRecipe, scale: FeaturesScale) -> float:
        return scale.seconds.get(recipe.backbone, 0.0) * recipe.schedule.epochs

    def akin(self, recipe: FeaturesRecipe) -> Hashable:
        return recipe.sampler, recipe.loss.name

    def data_path(self, root: Path, recipe: FeaturesRecipe) -> Path:
        path = manifest_path(root, recipe.data)
        return path.parent / f"drawn-{lvis_counts.DRAWN}" / path.name

    def prepare(self, root: Path, recipe: FeaturesRecipe, source: Path | None) -> Path:
        from fasa.datasets import is_whole

        destination = self.data_path(root, recipe)
        if not is_whole(destination):
            lvis_counts.prepare(recipe.data.options, destination)
        return destination

    def train(self, jobs: Sequence[Job], device: str | None) -> dict[Run, Exception]:
        self._check(device)
        from fasa.tasks.features import session

        return session.train(jobs)

    def evaluate(self, job: Job, device: str | None, started: float) -> Path:
        self._check(device)
        from fasa.tasks.features import session

        return session.evaluate(job, started)

    def _check(self, device: str | None) -> None:
        if device not in (None, "cpu"):
            raise UserError(f"--device {device}: fixed features are trained on the CPU; leave it out.")


TASK = FixedFeatures()
