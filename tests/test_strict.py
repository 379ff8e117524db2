"""YAML by libyaml's parser and by PyYAML's own: the same objects, and nothing taken that the other refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fasa import strict
from fasa.errors import UserError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))
# Read a file where PyYAML was installed without libyaml.
WITHOUT = """
import json, sys
sys.modules["yaml._yaml"] = None
from pathlib import Path
from fasa.strict import read_yaml
print(json.dumps([read_yaml(Path(path)) for path in sys.argv[1:]]))
"""
needs_libyaml = pytest.mark.skipif(not yaml.__with_libyaml__, reason="this PyYAML has no libyaml")


@needs_libyaml
def test_libyaml_reads_what_is_kept(monkeypatch):
    """None of our files costs a second reading."""
    assert len(CONFIGS) > 20
    monkeypatch.setattr(strict, "_Loader", None)
    for path in CONFIGS:
        strict.read_yaml(path)


def test_without_libyaml_it_is_the_same(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT, *CONFIGS], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip("\n") == json.dumps([strict.read_yaml(path) for path in CONFIGS])


@pytest.mark.parametrize(
    "text",
    [
        "a:\tb",
        "{a\t: b}",
        "{a?: b}",
        "[a?]",
        "a: b\n\ufeff",
        "a: b\n---\n!",
        "a: >#-\n  b",
        "a: " + "[" * 200_000 + "]" * 200_000,
        "- " * 200_000,
    ],
    ids=lambda text: text[:12],
)
def test_what_libyaml_alone_would_take_is_refused(text, tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"file\.yaml is not valid YAML"):
        strict.read_yaml(path)
