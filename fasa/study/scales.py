"""Scales: how large to run a recipe, and the one place where its numbers are made smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from fasa.errors import UserError
from fasa.study.bases import resolve
from fasa.study.detection_recipes import DetectionRecipe
from fasa.study.detection_scales import DetectionScale
from fasa.study.recipes import AnyRecipe, Recipe
from fasa.study.strict import Strict, parse, read_yaml


class Scale(Strict):
    """A scale.

    Attributes:
        description: one sentence for tables and reports.
        seeds: the seeds of every classifier's run; a scale without them runs no classifiers, and what follows, up to
            ``disk_gb``, has no place in it.
        comparable: whether absolute figures may be held against the published ones.
        data: overrides of a recipe's data, by data set.
        epochs: factor of all epoch numbers, ``drw_epoch``, drops and the augmenter's ``epochs`` among them.
        schedule: overrides of the schedule (batch, rate, …).
        epoch_length: overrides ``epoch_length`` where a recipe sets one.
        backbones: overrides by backbone (blocks, width).
        heads: overrides of head options by head.
        threads: CPU threads of one run.
        precision: ``fp32`` or ``bf16`` (on a GPU).
        evaluate_every: epochs between two looks at the test images; the last epoch is always one.
        checkpoint_seconds: time between two checkpoints.
        resources: of one run on a cluster: ``gpu``, ``mem_mb``, ``runtime`` in minutes.
        seconds: guess of one run's seconds, by backbone, until measured ones exist.
        evaluate_seconds: guess of the seconds that measuring one run takes, until measured ones exist.
        disk_gb: guess of the gigabytes that one run leaves, by backbone, until there are any.
        detection: the same for detectors; a scale without it runs none.
    """

    name: str
    description: str
    seeds: tuple[int, ...] = ()
    comparable: bool = False
    data: dict[str, dict[str, Any]] = {}
    epochs: float = Field(1.0, gt=0, le=1)
    schedule: dict[str, Any] = {}
    epoch_length: int | None = None
    backbones: dict[str, dict[str, Any]] = {}
    heads: dict[str, dict[str, float]] = {}
    threads: int = Field(1, gt=0)
    precision: str = Field("fp32", pattern="^(fp32|bf16)$")
    evaluate_every: int = Field(1, gt=0)
    checkpoint_seconds: float = Field(60, ge=0)
    resources: dict[str, int] = {}
    seconds: dict[str, float] = {}
    evaluate_seconds: float = Field(0.0, ge=0)
    disk_gb: dict[str, float] = {}
    detection: DetectionScale | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Classifiers' fields stand together, and there is something to run."""
        idle = sorted(self.model_fields_set - {"name", "description", "comparable", "detection", "seeds"})
        if not self.seeds and idle:
            raise ValueError(f"without 'seeds' it runs no classifiers, so {', '.join(idle)} would say nothing")
        if not self.seeds and self.detection is None:
            raise ValueError("it needs 'seeds' to run classifiers, or a part 'detection' to run detectors")
        return self

    def lacks(self, recipe: AnyRecipe) -> str | None:
        """What keeps this scale from running ``recipe``, as what it has: "no detection"; None where nothing does."""
        on_detectors = isinstance(recipe, DetectionRecipe)
        if not (self.detection if on_detectors else self.seeds):
            return f"no {recipe.task}"
        devices = self.detection.devices if on_detectors else 1
        return "but one device" if devices == 1 and recipe.augmenter.of_each_process else None

    def apply(self, recipe: AnyRecipe) -> AnyRecipe:
        """``recipe`` at this scale, which lacks nothing for it."""
        if isinstance(recipe, DetectionRecipe):
            return self.detection.apply(recipe, f"scale '{self.name}', recipe '{recipe.name}'")
        content = recipe.model_dump()
        content["data"].update(self.data.get(recipe.data.name, {}))
        content["head_options"].update(self.heads.get(recipe.head, {}))
        schedule = content["schedule"]
        schedule.update(self.schedule)
        if schedule["epoch_length"] is not None and self.epoch_length is not None:
            schedule["epoch_length"] = self.epoch_length
        schedule["epochs"] = self.epoch(schedule["epochs"])
        schedule["warmup"] = round(schedule["warmup"] * self.epochs)
        drops: dict[int, float] = {}
        for start, factor in schedule["drops"].items():  # two that fall on one epoch now are both taken there
            drops[self.epoch(start)] = drops.get(self.epoch(start), 1.0) * factor
        schedule["drops"] = drops
        content["loss"]["drw_epoch"] = self.epoch(content["loss"]["drw_epoch"]) if content["loss"]["drw_epoch"] else 0
        epochs = content["augmenter"].pop("epochs")
        content["augmenter"]["options"].update({name: self.epoch(value) for name, value in epochs.items()})
        return parse(Recipe, content, f"scale '{self.name}', recipe '{recipe.name}'")

    def epoch(self, epoch: int) -> int:
        """An epoch number of a recipe at this scale, at least 1."""
        return max(1, round(epoch * self.epochs))


def load_scale(folder: Path, name: str) -> Scale:
    """The scale ``name`` of ``folder``, told whole or by its difference from a ``base``, another scale.

    Raises:
        UserError: no such scale, an unknown key or base in it, or bases in a circle.
    """

    def path(name: str) -> Path:
        return folder / f"{name}.yaml"

    def read(name: str, above: str | None) -> dict[str, Any]:
        if path(name).exists():
            return read_yaml(path(name))
        asked = (
            f"there is no scale '{name}'" if above is None else f"{path(above)}: 'base' names an unknown scale '{name}'"
        )
        raise UserError(f"{asked}; choose one of {', '.join(sorted(one.stem for one in folder.glob('*.yaml')))}.")

    content = resolve(name, read, lambda name: f"{path(name)}: scale '{name}'")
    return parse(Scale, {**content, "name": name}, str(path(name)))
