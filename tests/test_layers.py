"""Who may import whom (the design's one rule of direction), and what stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "method": set(),
    "augmenters": {"method"},
    "classification": {"method", "augmenters", "datasets", "experiments"},
    "detection": {"method", "augmenters", "datasets", "metrics", "experiments"},
    "datasets": set(),
    "metrics": set(),
    "scoring": {"metrics"},
    "experiments": set(),
    "reporting": {"experiments"},
    "doctor": {"experiments", "datasets"},  # torch and mmcv it asks in a process of its own
}
SHARED = {"errors", "atomic", "lease", "processes", "termination", "torch_files"}


def imports(path: Path) -> set[str]:
    """The parts of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "fasa" else [node.module]
        found |= {name.split(".")[1] for name in names if name and name.startswith("fasa.")}
    return found


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_is_below_it(part):
    for path in (ROOT / "fasa" / part).rglob("*.py"):
        assert imports(path) - {part} - SHARED <= ALLOWED[part], path


LIGHT = ["", ".experiments", ".cli", ".datasets", ".reporting", ".metrics", ".scoring", ".doctor"]


@pytest.mark.parametrize("module", [f"fasa{part}" for part in LIGHT])
def test_planning_and_reporting_never_load_torch(module):
    code = f"import {module}, sys; sys.exit(bool({{'torch', 'mmdet', 'snakemake'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_no_file_is_longer_than_its_idea():
    for path in [*ROOT.glob("fasa/**/*.py"), *ROOT.glob("workflow/**/*.smk"), *ROOT.glob("tests/**/*.py")]:
        assert len(path.read_text().splitlines()) < 400, path
        assert path.name != "utils.py", path


def test_the_two_lists_of_requirements_agree():
    lock = dict(line.split("==") for line in (ROOT / "requirements/lock.txt").read_text().split() if "==" in line)
    conda = [line.strip("- ") for line in (ROOT / "environment.yml").read_text().splitlines() if "==" in line]
    assert conda
    for requirement in conda:
        name, version = requirement.split("==")
        assert lock[name] == version
    assert "opencv-python" not in lock and "opencv-python-headless" in lock
