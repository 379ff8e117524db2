"""All recipes of configs/recipes, each told by its difference from a base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fasa.errors import UserError, closest
from fasa.strict import entries, parse_entry, resolve
from fasa.tasks.recipe import Recipe
from fasa.tasks.task import tasks

MOST_NEEDED = 8  # in a row, for each may start from two; ours have two


def load_recipes(paths: Sequence[Path]) -> dict[str, Recipe]:
    """All recipes of the YAML files ``paths``, bases resolved; a kind of model is told by its own key.

    Raises:
        UserError: an unknown key, name, option, base or needed recipe, a name used twice, no kind or two, bases in a
            circle, or runs that start from one another.
    """
    differences: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for path in paths:
        for name, difference, where in entries(path, "recipe"):
            if name in places:
                raise UserError(f"{where} stands in {places[name].partition(': ')[0]} already; rename one.")
            differences[name], places[name] = difference, where

    def read(name: str, above: str | None) -> dict[str, Any]:
        if name not in differences:
            raise UserError(f"{places[above or name]} names an unknown base '{name}'{closest(name, differences)}.")
        return differences[name]

    recipes = {}
    for name, where in places.items():
        content = resolve(name, read, places.__getitem__)
        recipes[name] = parse_entry(_model(content, where), name, content, where)
    for name, where in places.items():
        _check_needs(name, recipes, where)
    return recipes


def _model(content: dict[str, Any], where: str) -> type[Recipe]:
    """The kind of a recipe's content."""
    models = {task.recipe_model.marker: task.recipe_model for task in tasks().values()}
    kinds = [(marker, model) for marker, model in models.items() if marker in content]
    if len(kinds) > 1:
        told = " and ".join(f"'{marker}' of a {model.kind}" for marker, model in kinds)
        raise UserError(f"{where} has the keys {told}; give it a base of its own kind.")
    if not kinds:
        known = " or ".join(f"'{marker}' (a {model.kind})" for marker, model in models.items())
        near = next((found for key in content if (found := closest(key, ["base", *models]))), "")
        raise UserError(f"{where} needs one of the keys {known}{near}.")
    return kinds[0][1]


def _check_needs(name: str, recipes: dict[str, Recipe], where: str, above: tuple[str, ...] = ()) -> None:
    """See that a recipe's runs start from runs of its own kind, and never from themselves."""
    if name in above:
        raise UserError(f"{where} starts from itself: {' -> '.join((*above, name))}.")
    if len(above) > MOST_NEEDED:
        raise UserError(f"{where} starts from more than {MOST_NEEDED} runs, one after the other: shorten that.")
    for needed in recipes[name].needs():
        if needed not in recipes:
            raise UserError(f"{where} needs an unknown recipe '{needed}'{closest(needed, recipes)}.")
        if recipes[needed].kind != recipes[name].kind:
            told = f"a {recipes[name].kind}, needs '{needed}', a {recipes[needed].kind}"
            raise UserError(f"{where}, {told}; name one of its own kind.")
        _check_needs(needed, recipes, where, (*above, name))
