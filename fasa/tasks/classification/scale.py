"""How large to run a classifier: the one place where a classification recipe's numbers are made smaller."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from fasa.signatures import CheckedAs, options, partial
from fasa.strict import Strict, parse
from fasa.tasks.classification.recipe import HEADS, Backbone, ClassificationRecipe, DataName, LongTailData, Schedule
from fasa.tasks.recipe import NotNegative, TaskScale

_heads: dict[str, Any] = {name: (Annotated[dict, CheckedAs(options(place))], {}) for name, place in HEADS.items()}
Heads = create_model("Heads", __base__=Strict, **_heads)


class Size(Strict):
    """What a scale overrides of a backbone."""

    blocks: tuple[Annotated[int, Field(gt=0)], ...] = Field((), min_length=1, description="Basic blocks of each stage.")
    width: int = Field(1, gt=0, description="Channels of the first stage.")


class ClassificationScale(TaskScale):
    """A scale's part for classifiers; ``seconds`` are of a whole run."""

    epochs: float = Field(1.0, gt=0, le=1, description="Factor of all epoch numbers.")
    data: dict[DataName, Annotated[dict[str, Any], CheckedAs(partial(LongTailData))]] = Field(
        {}, description="Overrides of a recipe's data, by its data set."
    )
    schedule: Annotated[dict[str, Any], CheckedAs(partial(Schedule))] = Field(
        {}, description="Overrides of every recipe's schedule."
    )
    epoch_length: int | None = Field(None, gt=0, description="Overrides `epoch_length` where a recipe sets one.")
    backbones: dict[Backbone, Annotated[dict[str, Any], CheckedAs(Size)]] = Field(
        {}, description="Overrides of a network's size, by backbone."
    )
    heads: Annotated[dict[str, dict[str, Any]], CheckedAs(Heads)] = Field(
        {}, description="Overrides of head options, by head."
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="Of the backbone's arithmetic; `bf16` on a GPU, or a processor with AVX512-BF16 or AMX."
    )
    evaluate_every: int = Field(
        1, gt=0, description="Epochs between two looks at the test images; the last epoch is always one."
    )
    checkpoint_seconds: float = Field(60, ge=0, description="Time between two checkpoints.")
    seconds: dict[Backbone, NotNegative] = Field(
        {}, description="Guess of the device seconds of a training, by backbone, until measured ones exist."
    )
    disk_gb: dict[Backbone, NotNegative] = Field(
        {}, description="Guess of the gigabytes that one run leaves, by backbone, until there are any."
    )

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
