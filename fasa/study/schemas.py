"""``python -m fasa.study.schemas`` writes configs/schemas: the models of configs/ as JSON Schema, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fasa import atomic
from fasa.strict import NAME, Named
from fasa.study.artifacts import Figure, Table
from fasa.study.claims import Claim
from fasa.study.scales import scale_model
from fasa.study.settings import Settings
from fasa.tasks.task import tasks

FOLDER = Path("configs/schemas")
DRAFT = "https://json-schema.org/draft/2020-12/schema"
BASE = {"type": "string", "description": "What this is but for what it says."}


def schemas() -> dict[str, str]:
    """The text of each schema, by its file's name."""
    kinds = list(dict.fromkeys(task.recipe_model for task in tasks().values()))
    made = {
        "recipes": _entries(*kinds, based=True),
        "scale": _file(scale_model(), based=True),
        "table": _file(Table),
        "figures": _entries(Figure),
        "claims": _entries(Claim),
        "config": _file(Settings),
    }
    return {f"{name}.json": json.dumps({"$schema": DRAFT, **schema}, indent=2) + "\n" for name, schema in made.items()}


def _entries(*models: type[Named], based: bool = False) -> dict[str, Any]:
    """The schema of a file of entries, each of them one of ``models``, under its name."""
    refs, definitions = _definitions(models, based)
    entry = refs[0] if len(refs) == 1 else {"anyOf": refs}
    names = {"pattern": f"^{NAME.pattern}$"}
    return {"type": "object", "propertyNames": names, "additionalProperties": entry, "$defs": definitions}


def _file(model: type[BaseModel], based: bool = False) -> dict[str, Any]:
    """The schema of a file that is one ``model``."""
    (ref,), definitions = _definitions((model,), based)
    return {**definitions.pop(ref["$ref"].rpartition("/")[2]), "$defs": definitions}


def _definitions(models: tuple[type[BaseModel], ...], based: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """References to ``models``, and all definitions; with a base, as what they lack may stand there."""
    refs, found = models_json_schema([(model, "validation") for model in models])
    definitions = found["$defs"]
    for model in models:
        ref = refs[model, "validation"]["$ref"].rpartition("/")[2]
        if issubclass(model, Named):
            definitions[ref]["properties"].pop("name")
            definitions[ref]["required"].remove("name")
        if based:
            definitions[ref]["properties"] = {"base": BASE, **definitions[ref]["properties"]}
    return [refs[model, "validation"] for model in models], _for_editors(definitions, based)


def _for_editors(schema: Any, based: bool) -> Any:
    """Without titles and defaults of null, which say nothing, and without what must be given where a base can."""
    if isinstance(schema, list):
        return [_for_editors(each, based) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        named = key in ("properties", "$defs", "patternProperties")
        if (key == "title" and isinstance(value, str)) or (key == "default" and value is None):
            continue
        if key == "required" and based and "const" not in json.dumps(schema.get("properties", {}).get("name", {})):
            continue
        kept[key] = (
            {name: _for_editors(each, based) for name, each in value.items()} if named else _for_editors(value, based)
        )
    return kept


def main() -> None:
    """Write them."""
    for name, text in schemas().items():
        atomic.write_text(FOLDER / name, text)


if __name__ == "__main__":
    main()
