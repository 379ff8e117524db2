"""Recipes of classifiers: all that decides a trained model but its seed and scale."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fasa.strict import Strict
from fasa.tasks.recipe import Recipe


class LongTailData(Strict):
    """The data set and how its long tail is cut."""

    name: str
    imbalance_ratio: float = Field(100, ge=1)
    heldout_per_class: int = Field(20, ge=0)
    subset_seed: int = 0


class Loss(Strict):
    """Arguments of :class:`fasa.tasks.classification.losses.Criterion`."""

    logit_scale: float = Field(1.0, gt=0)
    margin: float = Field(0.0, ge=0)
    prior: float = 0.0
    drw_beta: float = Field(0.0, ge=0, lt=1)
    drw_epoch: int = Field(0, ge=0)


class Schedule(Strict):
    """SGD: learning rate by epoch, counted from 0, batch size and regularisation.

    ``warmup`` epochs rise linearly from ``warmup_from`` times the rate; from epoch ``k`` of ``milestones`` on, the rate
    is multiplied by that factor. ``epoch_length`` is in batches; without it an epoch is one pass over the images.
    """

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    lr: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    warmup: int = Field(0, ge=0)
    warmup_from: float = Field(0.0, ge=0, le=1)
    milestones: dict[int, float] = {}
    drop_last: bool = False
    epoch_length: int | None = Field(None, gt=0)


class ClassificationRecipe(Recipe):
    """One recipe of a classifier, complete.

    ``teacher`` names the recipe whose run of the same seed gives M2m's frozen classifier; ``freeze`` trains the
    classifier alone. ``validation`` is what adaptation looks at.
    """

    kind: ClassVar[str] = "classifier"
    marker: ClassVar[str] = "head"

    data: LongTailData
    backbone: str
    head: Literal["linear", "cosine", "causal"]
    head_options: dict[str, float] = {}
    loss: Loss = Loss()
    schedule: Schedule
    validation: Literal["heldout", "test", "train"] = "heldout"
    teacher: str | None = None
    freeze: bool = False

    def needs(self) -> tuple[str, ...]:
        """The recipes whose runs must come first."""
        return tuple(dict.fromkeys(name for name in (self.start_from, self.teacher) if name))
