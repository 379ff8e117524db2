"""YAML files read into typed objects that refuse what they do not know, by file and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fasa.errors import UserError


class Strict(BaseModel):
    """A frozen object whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Strict)


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
