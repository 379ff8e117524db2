"""Who may import whom: the four products of docs/architecture.md, and what stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EVERYONE = {"errors", "atomic", "csv_cells", "sealed", "orphans"}
# Rooms of fasa/, and which others each may import.
ROOMS = {
    "method": set(),
    "augmenters": {"method"},
    "mmdet": {"method", "augmenters", "evaluation", "torch_files", "safe_pickle"},
    "evaluation": set(),
    "datasets": {"evaluation", "safe_pickle"},  # its reader of annotations
    "tasks": {
        "method",
        "augmenters",
        "mmdet",
        "evaluation",
        "datasets",
        "strict",
        "signatures",
        "torch_files",
        "config_folders",
    },
    "study": {"tasks", "strict", "config_folders"},
    "reporting": {"study", "datasets", "config_folders"},
    "doctor": {"study", "tasks", "datasets", "strict"},  # torch and mmcv it asks in a process of its own
}
# What the three products that others install may import beside the standard library.
TORCH = {"torch", "sklearn", "numpy"}
PACKAGES = {
    "method": TORCH,
    "augmenters": TORCH,
    "mmdet": TORCH | {"mmdet", "mmengine", "mmcv", "cv2", "pycocotools"},
    "evaluation": {"numpy", "numba", "pycocotools", "msgspec", "rich"},
}
# What one option of a product needs, imported only then.
OPTIONAL = {
    "evaluation/score/official.py": {"lvis", "tidecv"},  # what --verify compares with
    "evaluation/score/page/photos.py": {"PIL"},  # pillow makes the thumbnails of --image-folder
}


def imported(path: Path) -> set[str]:
    """The dotted names that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_is_below_it(room):
    for path in (ROOT / "fasa" / room).rglob("*.py"):
        rooms = {name.split(".")[1] for name in imported(path) if name.startswith("fasa.")}
        assert rooms - {room} - EVERYONE <= ROOMS[room], path


@pytest.mark.parametrize("room", PACKAGES)
def test_a_product_imports_only_the_packages_that_it_is_installed_with(room):
    for path in (ROOT / "fasa" / room).rglob("*.py"):
        packages = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {"fasa"}
        assert packages <= PACKAGES[room] | OPTIONAL.get(path.relative_to(ROOT / "fasa").as_posix(), set()), path


LIGHT = ["", ".study", ".cli", ".datasets", ".reporting", ".evaluation", ".evaluation.score", ".doctor", ".metrics"]


@pytest.mark.parametrize("module", [f"fasa{part}" for part in LIGHT])
def test_planning_and_reporting_never_load_torch(module):
    code = f"import {module}, sys; sys.exit(bool({{'torch', 'mmdet', 'snakemake'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_no_file_is_longer_than_its_idea():
    for path in [*ROOT.glob("fasa/**/*.py"), *ROOT.glob("workflow/**/*.smk"), *ROOT.glob("tests/**/*.py")]:
        assert len(path.read_text().splitlines()) < 400, path
        assert path.name != "utils.py", path
