"""Classifiers of small images: CIFAR-100-LT, and handwritten digits in its place."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fasa.tasks.classification.recipe import ClassificationRecipe
from fasa.tasks.classification.scale import ClassificationScale
from fasa.tasks.task import Job, Run, Task

# The numbers that are measured, by the names that a table asks for.
_ACCURACY = ("last", "best", "many", "medium", "few", "logit_adjusted", "logit_adjusted_tuned", "logit_adjusted_tau")
MEASURED: tuple[str, ...] = (*(f"accuracy.{name}" for name in _ACCURACY), "cost.seconds")


class Classification(Task):
    """Our own training loop, several runs side by side."""

    name = "classification"
    recipe_model = ClassificationRecipe
    scale_model = ClassificationScale
    measurements = MEASURED
    compared = MappingProxyType(
        {"Top-1": "accuracy.last", **{name: f"accuracy.{name}" for name in ("many", "medium", "few")}}
    )
    measuring_version = 3  # 1 had no cost, 2 no checksum

    def at_scale(self, recipe: ClassificationRecipe, scale: ClassificationScale, where: str) -> ClassificationRecipe:
        return scale.apply(recipe, where)

    def decided_by(self, declared: Any, recipe: ClassificationRecipe, scale: Any, root: Path) -> dict[str, Any]:
        of_scale = scale.model_dump(include={"precision", "evaluate_every"})  # the latter: best epoch, learning curves
        return {"backbone": scale.backbones.get(recipe.backbone, {}), **of_scale}

    def precision(self, scale: ClassificationScale) -> str:
        return scale.precision

    def training_seconds(self, recipe: ClassificationRecipe, scale: ClassificationScale) -> float:
        return scale.seconds.get(recipe.backbone, 0.0)

    def akin(self, recipe: ClassificationRecipe) -> Hashable:
        return recipe.data.name, recipe.backbone, recipe.freeze

    def data_path(self, root: Path, recipe: ClassificationRecipe) -> Path:
        data = recipe.data
        cut = f"ratio-{data.imbalance_ratio:g}-heldout-{data.heldout_per_class}-subset-{data.subset_seed}"
        return root / "resources" / data.name / f"{cut}.npz"

    def prepare(self, root: Path, recipe: ClassificationRecipe, source: Path | None) -> Path:
        from fasa import datasets

        destination = self.data_path(root, recipe)
        if destination.exists():
            datasets.load_pack(destination)  # a damaged one is told, not kept
        else:
            datasets.prepare_classification(
                **recipe.data.model_dump(),
                source=source,
                downloads=root / "resources" / "downloads",
                destination=destination,
            )
        return destination

    def train(self, jobs: Sequence[Job], device: str | None) -> dict[Run, Exception]:
        from fasa.tasks.classification import session
        from fasa.tasks.devices import choose_device

        return session.train(jobs, choose_device(jobs[0], device))

    def evaluate(self, job: Job, device: str | None, started: float) -> Path:
        from fasa.tasks.classification import session
        from fasa.tasks.devices import choose_device

        return session.evaluate(job, choose_device(job, device), started)


TASK = Classification()
