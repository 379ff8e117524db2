"""How large to run a classifier: the one place where a classification recipe's numbers are made smaller."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fasa.strict import parse
from fasa.tasks.classification.recipe import ClassificationRecipe
from fasa.tasks.recipe import TaskScale


class ClassificationScale(TaskScale):
    """A scale's part for classifiers; ``seconds`` are of a whole run.

    Attributes:
        epoch_length: overrides ``epoch_length`` where a recipe sets one.
        backbones: overrides by backbone (blocks, width).
        heads: overrides of head options by head.
        precision: ``fp32`` or ``bf16`` (on a GPU).
        evaluate_every: epochs between two looks at the test images; the last epoch is always one.
        checkpoint_seconds: time between two checkpoints.
    """

    epochs: float = Field(1.0, gt=0, le=1)
    epoch_length: int | None = None
    backbones: dict[str, dict[str, Any]] = {}
    heads: dict[str, dict[str, float]] = {}
    precision: Literal["fp32", "bf16"] = "fp32"
    evaluate_every: int = Field(1, gt=0)
    checkpoint_seconds: float = Field(60, ge=0)

    def apply(self, recipe: ClassificationRecipe, where: str) -> ClassificationRecipe:
        """``recipe`` at this scale; ``where`` is what an error calls it."""
        content = self.scaled(recipe)
        content["head_options"].update(self.heads.get(recipe.head, {}))
        schedule = content["schedule"]
        schedule.update(self.schedule)
        if schedule["epoch_length"] is not None and self.epoch_length is not None:
            schedule["epoch_length"] = self.epoch_length
        schedule["epochs"] = self.epoch(schedule["epochs"])
        schedule["warmup"] = round(schedule["warmup"] * self.epochs)
        milestones: dict[int, float] = {}
        for start, factor in schedule["milestones"].items():  # two that fall on one epoch now are both taken there
            milestones[self.epoch(start)] = milestones.get(self.epoch(start), 1.0) * factor
        schedule["milestones"] = milestones
        content["loss"]["drw_epoch"] = self.epoch(content["loss"]["drw_epoch"]) if content["loss"]["drw_epoch"] else 0
        return parse(ClassificationRecipe, content, where)
