"""A small LVIS problem and a small COCO problem, as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evaluation_toys import disc_problem

from fasa.cli import main


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], Path]:
    """``write(name, document)``: a JSON file; the cache of annotations is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def to(name: str, document: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
        return path

    return to


@pytest.fixture
def lvis(write: Callable[[str, Any], Path]) -> tuple[str, str]:
    """Paths of annotations and detections, LVIS."""
    annotations, detections = disc_problem("lvis")
    return str(write("lvis.json", annotations)), str(write("detections.json", detections))


@pytest.fixture
def coco(write: Callable[[str, Any], Path]) -> tuple[str, str]:
    """Paths of annotations and detections, COCO."""
    annotations, detections = disc_problem("coco")
    return str(write("coco.json", annotations)), str(write("detections.json", detections))


@pytest.fixture
def score(capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """``score(*arguments)``: exit status, output and error output of ``fasa score``."""

    def run(*arguments: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["score", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run
