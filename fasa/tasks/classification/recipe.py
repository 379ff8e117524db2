"""Recipes of classifiers: all that decides a trained model but its seed and scale."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fasa.datasets.classification import ORIGINS
from fasa.signatures import OneOf, literal, options
from fasa.strict import Strict, Text, check
from fasa.tasks.recipe import Augmentation, Recipe, joining

FOLDER = "fasa.tasks.classification"
HEADS = {name: f"{FOLDER}.heads:{name.title()}Head" for name in ("linear", "cosine", "causal")}
Backbone = Annotated[str, OneOf(literal(f"{FOLDER}.networks:BACKBONES"))]
DataName = Annotated[str, OneOf(ORIGINS)]


class ClassifierAugmentation(Augmentation):
    """An augmenter in the training of a classifier."""

    known, refused = joining("ImageContext")


class LongTailData(Strict):
    """The data set and how its long tail is cut."""

    name: DataName = Field(description="The balanced data set that is cut.")
    imbalance_ratio: float = Field(100, ge=1, description="Images of the largest class over those of the smallest.")
    heldout_per_class: int = Field(20, ge=0, description="Further images of each class, which adaptation looks at.")
    subset_seed: int = Field(0, description="Decides which images are kept.")


class Loss(Strict):
    """Arguments of :class:`fasa.tasks.classification.losses.Criterion`."""

    renamed: ClassVar[dict[str, str]] = {"scale": "logit_scale"}

    logit_scale: float = Field(1.0, gt=0, description="Factor of all logits (LDAM: 30, as its head gives cosines).")
    margin: float = Field(0.0, ge=0, description="Largest margin of LDAM; 0 for none.")
    prior: float = Field(0.0, description="Multiple of the log prior added to the logits (Balanced Softmax: 1).")
    drw_beta: float = Field(0.0, ge=0, lt=1, description="Beta of the class weights from `drw_epoch` on; 0 for none.")
    drw_epoch: int = Field(0, ge=0, description="First epoch, counted from 0, with class weights.")


class Schedule(Strict):
    """SGD: learning rate by epoch, counted from 0, batch size and regularisation."""

    renamed: ClassVar[dict[str, str]] = {"rate": "lr", "drops": "milestones", "batch": "batch_size"}

    epochs: int = Field(gt=0, description="Epochs.")
    batch_size: int = Field(gt=0, description="Images of a step.")
    lr: float = Field(gt=0, description="Learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(ge=0, description="Weight decay.")
    warmup: int = Field(0, ge=0, description="Epochs over which the rate rises linearly from `warmup_from`.")
    warmup_from: float = Field(0.0, ge=0, le=1, description="First rate of the warm-up, as a factor of `lr`.")
    milestones: dict[Annotated[int, Field(ge=0)], float] = Field(
        {}, description="From this epoch on the rate is multiplied by that factor."
    )
    drop_last: bool = Field(False, description="Leave out an epoch's last batch where it is not whole.")
    epoch_length: int | None = Field(
        None, gt=0, description="Batches of an epoch; without it one pass over the images."
    )

    def lr_of(self, epoch: int) -> float:
        """The learning rate of ``epoch``, counted from 0: a linear warm-up, then a product of milestones.

        Epoch ``e``, counted from 1, of a warm-up over ``W`` epochs has ``from * (1 - e/W) + e/W`` of the rate
        (``from`` = 0: Cao et al. 2019, 1/3: Tang et al. 2020).
        """
        share = (epoch + 1) / self.warmup if self.warmup else 1.0
        if share < 1:
            return self.lr * (self.warmup_from * (1 - share) + share)
        return self.lr * math.prod(factor for start, factor in self.milestones.items() if epoch >= start)


class ClassificationRecipe(Recipe):
    """One recipe of a classifier, complete."""

    kind: ClassVar[str] = "classifier"
    marker: ClassVar[str] = "head"

    augmenter: ClassifierAugmentation = Field(ClassifierAugmentation(), description="What makes virtual examples.")
    data: LongTailData = Field(description="The data set and how its long tail is cut.")
    backbone: Backbone = Field(description="A network of fasa/tasks/classification/networks.py.")
    head: Literal["linear", "cosine", "causal"] = Field(description="The classifier on the pooled features.")
    head_options: dict[str, Any] = Field({}, description="What the head's constructor takes.")
    loss: Loss = Field(Loss(), description="Cross entropy on adjusted logits, with class weights that may come late.")
    schedule: Schedule = Field(description="Epochs, batch size, learning rate.")
    validation: Literal["heldout", "test", "train"] = Field(
        "heldout", description="The images that adaptation looks at."
    )
    teacher: Text | None = Field(
        None, description="The recipe whose run of the same seed gives M2m's frozen classifier."
    )
    freeze: bool = Field(False, description="Train the classifier alone, on a frozen backbone.")

    @field_validator("head_options")
    @classmethod
    def _of_the_head(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return check(options(HEADS[info.data["head"]]), given) if "head" in info.data else given

    @model_validator(mode="after")
    def _teaches(self) -> Self:
        if (self.augmenter.name == "m2m") != (self.teacher is not None):
            raise ValueError("'teacher' goes with augmenter 'm2m', and only with it")
        return self

    def needs(self) -> tuple[str, ...]:
        """The recipes whose runs must come first."""
        return tuple(dict.fromkeys(name for name in (self.start_from, self.teacher) if name))
