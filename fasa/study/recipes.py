"""Recipes: all that decides a trained model but its seed and scale, each told by its difference from a base."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from fasa.errors import UserError
from fasa.study.augmentation import Augmentation
from fasa.study.bases import resolve
from fasa.study.detection_recipes import DetectionRecipe
from fasa.study.strict import Strict, parse, read_yaml


class Data(Strict):
    """The data set and how its long tail is cut."""

    name: str
    imbalance_ratio: float = Field(100, ge=1)
    heldout_per_class: int = Field(20, ge=0)
    subset_seed: int = 0


class Loss(Strict):
    """Arguments of :class:`fasa.tasks.classification.losses.Criterion`."""

    scale: float = Field(1.0, gt=0)
    margin: float = Field(0.0, ge=0)
    prior: float = 0.0
    drw_beta: float = Field(0.0, ge=0, lt=1)
    drw_epoch: int = Field(0, ge=0)


class Schedule(Strict):
    """SGD: learning rate by epoch, counted from 0, batch size and regularisation.

    ``warmup`` epochs rise linearly from ``warmup_from`` times the rate; from epoch ``k`` of ``drops`` on, the rate is
    multiplied by that factor. ``epoch_length`` is in batches; without it an epoch is one pass over the images.
    """

    epochs: int = Field(gt=0)
    batch: int = Field(gt=0)
    rate: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    warmup: int = Field(0, ge=0)
    warmup_from: float = Field(0.0, ge=0, le=1)
    drops: dict[int, float] = {}
    drop_last: bool = False
    epoch_length: int | None = Field(None, gt=0)


class Recipe(Strict):
    """One recipe of a classifier, complete.

    ``start_from`` names the recipe whose run of the same seed gives the first weights, ``teacher`` the one that gives
    M2m's frozen classifier; ``freeze`` trains the classifier alone. ``validation`` is what adaptation looks at.
    """

    task: ClassVar[str] = "classification"

    name: str
    data: Data
    backbone: str
    head: Literal["linear", "cosine", "causal"]
    head_options: dict[str, float] = {}
    loss: Loss = Loss()
    schedule: Schedule
    augmenter: Augmentation = Augmentation()
    validation: Literal["heldout", "test", "train"] = "heldout"
    start_from: str | None = None
    teacher: str | None = None
    freeze: bool = False

    def needs(self) -> tuple[str, ...]:
        """The recipes whose runs must come first."""
        return tuple(dict.fromkeys(name for name in (self.start_from, self.teacher) if name))


AnyRecipe = Recipe | DetectionRecipe


def load_recipes(folder: Path) -> dict[str, AnyRecipe]:
    """All recipes of the YAML files in ``folder``, bases resolved; those with a ``detector`` are detectors'.

    Raises:
        UserError: an unknown key, base or needed recipe, a name used twice, or bases in a circle.
    """
    differences: dict[str, dict[str, Any]] = {}
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.yaml")):
        for name, difference in read_yaml(path).items():
            if name in files:
                raise UserError(f"{path}: recipe '{name}' stands in {files[name]} already; rename one.")
            if not isinstance(difference, dict):
                raise UserError(f"{path}: recipe '{name}' must be a mapping of keys to values.")
            differences[name], files[name] = difference, path

    def where(name: str) -> str:
        return f"{files[name]}: recipe '{name}'"

    def read(name: str, above: str | None) -> dict[str, Any]:
        if name not in differences:
            raise UserError(f"{where(above)} names an unknown base '{name}'.")
        return differences[name]

    recipes: dict[str, AnyRecipe] = {}
    for name in differences:
        content = {**resolve(name, read, where), "name": name}
        model = DetectionRecipe if "detector" in content else Recipe
        recipes[name] = parse(model, content, where(name))
    for name, recipe in recipes.items():
        for needed in recipe.needs():
            if needed not in recipes:
                raise UserError(f"{where(name)} needs an unknown recipe '{needed}'.")
    return recipes
