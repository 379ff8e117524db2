"""YAML files read into typed objects that refuse what they do not know, by file and field; told whole or by a base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fasa.errors import UserError


class Strict(BaseModel):
    """A frozen object whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Strict)
Content = dict[str, Any]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: the file is missing, is not YAML, or does not hold a mapping.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise UserError(f"{path} is not valid YAML{line}: {getattr(error, 'problem', error)}.") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} must hold a mapping of keys to values.")
    return document


def parse(model: type[Model], content: dict[str, Any], where: str) -> Model:
    """``content`` as a ``model``.

    Raises:
        UserError: names ``where``, the field, and what it may be.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt key is also a missing one: tell the misspelling.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(_known(model, first["loc"][:-1])))
            raise UserError(f"{where}: unknown key '{field}'; known here: {known}.") from error
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        message = message[:1].lower() + message[1:]
        raise UserError(f"{where}: '{field}': {message}." if field else f"{where}: {message}.") from error


def _known(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that a nested model at ``path`` knows; those of the deepest model reached."""
    for part in path:
        field = model.model_fields.get(str(part))
        inner = getattr(field, "annotation", None)
        candidates = [inner, *getattr(inner, "__args__", ())]
        found = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        model = found[0] if found else model
    return list(model.model_fields)


def resolve(
    name: str,
    read: Callable[[str, str | None], Content],
    where: Callable[[str], str],
    above: tuple[str, ...] = (),
) -> Content:
    """What ``name`` says, laid over what its ``base`` says, and so on down to one without a base.

    Args:
        read: gives what a name says; its second argument is the name that has it as base, None at first. It raises a
            UserError where there is no such thing.
        where: what an error calls a name.
        above: the names whose bases are being looked up.

    Raises:
        UserError: bases in a circle, or as ``read``.
    """
    difference = dict(read(name, above[-1] if above else None))
    base = difference.pop("base", None)
    if base is None:
        return difference
    if base in (*above, name):
        raise UserError(f"{where(name)} has itself among its bases.")
    return merge(resolve(base, read, where, (*above, name)), difference)


def merge(base: Content, difference: Content) -> Content:
    """``base`` with ``difference`` laid over it, mappings merged key by key; an augmenter is replaced whole."""
    merged = dict(base)
    for key, value in difference.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both and key not in ("augmenter", "milestones") else value
    return merged
