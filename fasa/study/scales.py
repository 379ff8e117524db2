"""Scales: how large to run a recipe, and by which task."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, create_model

from fasa.config_folders import config_path, config_paths
from fasa.errors import UserError, closest
from fasa.strict import NAME, Named, Text, check_name, parse_entry, read_yaml, resolve
from fasa.tasks.recipe import Recipe, TaskScale
from fasa.tasks.task import Task, tasks


class Scale(Named):
    """A scale, with a part for each task that it runs, under the task's name."""

    description: Text = Field(description="One sentence for tables and reports.")
    comparable: bool = Field(False, description="Whether absolute figures may be held against the published ones.")
    variation: bool = Field(
        False,
        description="Whether it is its base with a choice of ours changed, to see what depends on it: docs/findings.md "
        "takes nothing from it as evidence of a claim.",
    )

    @property
    def parts(self) -> dict[str, TaskScale]:
        """The part of each task that this scale runs, by its name."""
        return {name: part for name in tasks() if (part := getattr(self, name, None)) is not None}

    def task(self, recipe: Recipe) -> Task | None:
        """The task that runs ``recipe`` here; None where there is none."""
        able = (task for task in tasks().values() if isinstance(recipe, task.recipe_model))
        return next((task for task in able if getattr(self, task.name, None) is not None), None)

    def unsupported_reason(self, recipe: Recipe) -> str | None:
        """What keeps this scale from running ``recipe``, as what it has: "no detection"; None where nothing does."""
        task = self.task(recipe)
        if task is None:
            able = [task.name for task in tasks().values() if isinstance(recipe, task.recipe_model)]
            return f"no {' or '.join(able)}"
        return task.unsupported_reason(recipe, getattr(self, task.name))

    def apply(self, recipe: Recipe) -> Recipe:
        """``recipe`` at this scale, which has what it takes."""
        task = self.task(recipe)
        assert task is not None
        place = f"configs/scales/{self.name}.yaml: recipe '{recipe.name}'"
        return task.at_scale(recipe, getattr(self, task.name), place)


@cache
def scale_model() -> type[Scale]:
    """A scale's model, with a field for each task."""
    parts: dict[str, Any] = {name: (task.scale_model | None, None) for name, task in tasks().items()}
    # Before there were parts, the keys of classifiers stood beside the description.
    flat = {key: f"classification.{key}" for key in tasks()["classification"].scale_model.model_fields}
    renamed: Any = (ClassVar[dict[str, str]], flat)
    return create_model("Scale", __base__=Scale, __doc__=Scale.__doc__, renamed=renamed, **parts)


def load_scale(root: Path, name: str) -> Scale:
    """The scale ``name`` of the study in ``root``, told whole or by its difference from a ``base``, another scale.

    Raises:
        UserError: no such scale, or two; an unknown key or base in it, bases in a circle, no task, two for one recipe.
    """

    def path(name: str) -> Path:
        return config_path(root, f"scales/{name}.yaml")

    def read(name: str, above: str | None) -> dict[str, Any]:
        if NAME.fullmatch(name) and path(name).exists():
            return read_yaml(path(name))
        known = sorted(one.stem for one in config_paths(root, "scales/*.yaml"))
        asked = (
            f"there is no scale '{name}'" if above is None else f"{path(above)}: 'base' names an unknown scale '{name}'"
        )
        raise UserError(f"{asked}{closest(name, known) or '; there are ' + ', '.join(known)}.")

    check_name(name, f"scale '{name}'")
    content = resolve(name, read, lambda name: f"{path(name)}: scale '{name}'")
    scale = parse_entry(scale_model(), name, content, str(path(name)))
    models = [tasks()[task].recipe_model for task in scale.parts]
    if not models:
        raise UserError(f"{path(name)}: scale '{name}' needs a part for a task: {', '.join(tasks())}.")
    if len(models) > len(set(models)):
        raise UserError(f"{path(name)}: scale '{name}' has two tasks for the same recipes; keep one of them.")
    return scale
