"""All recipes of configs/recipes, each told by its difference from a base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fasa.errors import UserError
from fasa.strict import parse, read_yaml, resolve
from fasa.tasks.recipe import Recipe
from fasa.tasks.task import tasks


def load_recipes(folder: Path) -> dict[str, Recipe]:
    """All recipes of the YAML files in ``folder``, bases resolved; a kind of model is told by its own key.

    Raises:
        UserError: an unknown key, base or needed recipe, a name used twice, no kind, or bases in a circle.
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
            raise UserError(f"{where(above or name)} names an unknown base '{name}'.")
        return differences[name]

    models = {task.recipe_model.marker: task.recipe_model for task in tasks().values()}
    recipes: dict[str, Recipe] = {}
    for name in differences:
        content = {**resolve(name, read, where), "name": name}
        kinds = [model for marker, model in models.items() if marker in content]
        if len(kinds) != 1:
            known = " or ".join(f"'{marker}' (a {model.kind})" for marker, model in models.items())
            raise UserError(f"{where(name)} needs one of the keys {known}.")
        recipes[name] = parse(kinds[0], content, where(name))
    for name, recipe in recipes.items():
        for needed in recipe.needs():
            if needed not in recipes:
                raise UserError(f"{where(name)} needs an unknown recipe '{needed}'.")
    return recipes
