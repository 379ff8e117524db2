"""How large to run a detector: the one place where a detection recipe's numbers are made smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator

from fasa.study.detection_recipes import DetectionRecipe
from fasa.study.strict import Strict, parse

DEFAULT = "default"


class DetectionScale(Strict):
    """A scale's part for detectors.

    Attributes:
        description: one sentence for detectors' tables, in place of the scale's own.
        seeds: the seeds of a run, by the table, figure or recipe that asks for it; ``default`` where none of a run's
            is named.
        data: overrides of a recipe's data, by data set.
        model: a file of ``configs/detection/scales`` laid over the model and the pipelines, and after it the one that
            has the backbone in its name.
        epochs: factor of all epoch numbers.
        schedule: overrides of the schedule (batch, rate, …).
        threads: CPU threads of one run.
        devices: GPUs of one run; the batch is shared between them.
        workers: processes that load images, of each device.
        evaluate_images: validation images at once in inference.
        pretraining: what backbones start from (fields of ``fasa.tasks.detection.pretraining.Pretraining``).
        weights: or else the URLs of a file that they start from, best first, by backbone; the digits that its name ends
            in begin its SHA-256. A backbone without either starts from what its config says.
        resources: of one run on a cluster: ``gpu``, ``mem_mb``, ``runtime`` in minutes.
        seconds: guess of one run's device seconds an epoch, by backbone, until measured ones exist.
        evaluate_seconds: guess of the seconds that measuring one run takes, on one device, until measured ones exist.
        disk_gb: guess of the gigabytes that one run leaves, by backbone, until there are any.
    """

    description: str = ""
    seeds: dict[str, Annotated[tuple[int, ...], Field(min_length=1)]] = {DEFAULT: (0,)}
    data: dict[str, dict[str, Any]] = {}
    model: str | None = None
    epochs: float = Field(1.0, gt=0)
    schedule: dict[str, Any] = {}
    threads: int = Field(2, gt=0)
    devices: int = Field(1, ge=1)
    workers: int = Field(2, ge=0)
    evaluate_images: int = Field(1, ge=1)
    pretraining: dict[str, int | float | list[int]] | None = None
    weights: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    resources: dict[str, int] = {}
    seconds: dict[str, float] = {}
    evaluate_seconds: float = Field(0.0, ge=0)
    disk_gb: dict[str, float] = {}

    @field_validator("seeds")
    @classmethod
    def _has_default(cls, seeds: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        if DEFAULT not in seeds:
            raise ValueError(f"needs a '{DEFAULT}', for what it does not name")
        return seeds

    def apply(self, recipe: DetectionRecipe, where: str) -> DetectionRecipe:
        """``recipe`` at this scale; ``where`` is what an error calls it."""
        content = recipe.model_dump()
        content["data"].update(self.data.get(recipe.data.name, {}))
        schedule = content["schedule"]
        schedule["epochs"] = self.epoch(schedule["epochs"])
        schedule["drops"] = self.drops(schedule["drops"], schedule["epochs"])
        schedule.update(self.schedule)
        epochs = content["augmenter"].pop("epochs")
        content["augmenter"]["options"].update({name: self.epoch(value) for name, value in epochs.items()})
        return parse(DetectionRecipe, content, where)

    def epoch(self, epoch: int) -> int:
        """An epoch number of a recipe at this scale, at least 1."""
        return max(1, round(epoch * self.epochs))

    def drops(self, drops: Sequence[int], epochs: int) -> list[int]:
        """The rate's drops at this scale, of a schedule that has ``epochs`` of them here.

        Rounded, a late drop can fall on the end, where it would never happen, or on the one before it: then it moves
        forward. Where there are fewer places than drops the first ones share an epoch; one epoch has no place at all.
        """
        latest, placed = epochs - 1, []
        for drop in reversed(drops if epochs > 1 else ()):
            placed.append(max(1, min(self.epoch(drop), latest)))
            latest = placed[-1] - 1
        return placed[::-1]
