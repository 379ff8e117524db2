"""What every recipe says, and every task's part of a scale: the models that those of each task extend."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from fasa.strict import Strict

DEFAULT = "default"


class Augmentation(Strict):
    """An augmenter by its name in :data:`fasa.augmenters.AUGMENTERS`, and its options.

    ``epochs`` are further options, those that are epochs of the schedule: a scale shortens them with it.
    """

    name: str = "none"
    options: dict[str, Any] = {}
    epochs: dict[str, int] = {}

    @property
    def per_process_statistics(self) -> bool:
        """Whether each process is to keep statistics of its own, so that one process alone would change nothing."""
        return self.options.get("global_statistics") is False


class Recipe(Strict):
    """All that decides a trained model but its seed and scale; a subclass is one kind of model.

    ``start_from`` names the recipe whose run of the same seed gives the first weights. A recipe in configs/recipes is
    of the kind whose ``marker`` is among its keys.
    """

    kind: ClassVar[str]
    marker: ClassVar[str]

    name: str
    augmenter: Augmentation = Augmentation()
    start_from: str | None = None

    def needs(self) -> tuple[str, ...]:
        """The recipes whose runs must come first."""
        return (self.start_from,) if self.start_from else ()


class TaskScale(Strict):
    """A task's part of a scale: how large to run the recipes that the task takes.

    Attributes:
        description: one sentence for the task's tables, in place of the scale's own.
        seeds: of a run, by the table, figure or recipe that asks for it; ``default`` where none of a run's is named. A
            list alone is the default.
        data: overrides of a recipe's data, by data set.
        epochs: factor of all epoch numbers.
        schedule: overrides of the schedule (batch_size, lr, …).
        threads: CPU threads of one run.
        devices: GPUs of one run; the batch is shared between them.
        resources: of one run on a cluster: ``gpu``, ``mem_mb``, ``runtime`` in minutes.
        seconds: guess of the device seconds of training, by backbone, until measured ones exist.
        evaluate_seconds: guess of the seconds that measuring one run takes, on one device, until measured ones exist.
        disk_gb: guess of the gigabytes that one run leaves, by backbone, until there are any.
    """

    description: str = ""
    seeds: dict[str, Annotated[tuple[int, ...], Field(min_length=1)]] = {DEFAULT: (0,)}
    data: dict[str, dict[str, Any]] = {}
    epochs: float = Field(1.0, gt=0)
    schedule: dict[str, Any] = {}
    threads: int = Field(1, gt=0)
    devices: int = Field(1, ge=1)
    resources: dict[str, int] = {}
    seconds: dict[str, float] = {}
    evaluate_seconds: float = Field(0.0, ge=0)
    disk_gb: dict[str, float] = {}

    @field_validator("seeds", mode="before")
    @classmethod
    def _one_list(cls, seeds: Any) -> Any:
        return {DEFAULT: seeds} if isinstance(seeds, list | tuple) else seeds

    @field_validator("seeds")
    @classmethod
    def _has_default(cls, seeds: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        if DEFAULT not in seeds:
            raise ValueError(f"needs a '{DEFAULT}', for what it does not name")
        return seeds

    def epoch(self, epoch: int) -> int:
        """An epoch number of a recipe at this scale, at least 1."""
        return max(1, round(epoch * self.epochs))

    def scaled(self, recipe: Recipe) -> dict[str, Any]:
        """The content of ``recipe`` with this scale's data, and with the augmenter's epochs among its options."""
        content = recipe.model_dump()
        content["data"].update(self.data.get(content["data"]["name"], {}))
        epochs = content["augmenter"].pop("epochs")
        content["augmenter"]["options"].update({name: self.epoch(value) for name, value in epochs.items()})
        return content
