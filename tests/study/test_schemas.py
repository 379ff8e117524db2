"""The schemas of configs/ for editors: they follow the models, every file names its own, and every file passes it."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import jsonschema
import pytest

from fasa.strict import read_yaml
from fasa.study.schemas import FOLDER, schemas

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "configs").glob("*.yaml")), *sorted((ROOT / "configs").glob("*/*.yaml"))]


@pytest.mark.parametrize("name", schemas())
def test_a_schema_is_as_the_models_are(name):
    kept = (ROOT / FOLDER / name).read_text()
    made = schemas()[name]
    drift = difflib.unified_diff(kept.splitlines(), made.splitlines(), "kept", "made", lineterm="")
    assert kept == made, "run: python -m fasa.study.schemas\n" + "\n".join(drift)
    assert {path.name for path in (ROOT / FOLDER).iterdir()} == {*schemas()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_names_its_schema_for_editors_and_passes_it(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    schema = json.loads((path.parent / first.partition("=")[2]).resolve(strict=True).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(json.dumps(read_yaml(path))), schema)


@pytest.mark.parametrize(
    ("schema", "content"),
    [
        ("recipes", {"mine": {"base": "ce", "backbone": "resnet99"}}),
        ("recipes", {"mine": {"base": "ce", "augmenter": {"name": "faza"}}}),
        ("recipes", {"mine": {"base": "ce", "augmenter": {"name": "fasa", "options": {"gruoping": "class"}}}}),
        ("recipes", {"mine": {"base": "ce", "augmenter": {"name": "none", "options": {"neighbours": 3}}}}),
        ("recipes", {"mine": {"base": "rfs", "loss": {"name": "arcface", "options": {"margn": 1}}}}),
        ("scale", {"base": "mini", "classification": {"schedule": {"batch": 3}}}),
        ("scale", {"base": "mini", "detection": {"seconds": {"r51": 3}}}),
        ("scale", {"base": "mini", "detection": {"data": {"lvis": {"name": "glyphs", "options": {"clases": 3}}}}}),
        ("figures", {"mine": {"title": "", "published_as": "", "caption": "", "kind": "gain", "series": []}}),
    ],
)
def test_an_editor_underlines_what_is_unknown(schema, content):
    validator = jsonschema.Draft202012Validator(json.loads(schemas()[f"{schema}.json"]))
    assert not validator.is_valid(content)
