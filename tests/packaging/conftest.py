"""A source distribution and a wheel of this repository, built as for an index, and an environment for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MADE = {"build", "work_dirs", "resources", "logs", "site"}  # in the root: what a clone gathers
BUILD = "from setuptools import build_meta; build_meta.build_sdist({!r})"


def built(folder: Path) -> tuple[Path, Path]:
    """The source distribution, and the wheel that is made of it alone; by the setuptools and pybind11 of the tests."""
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=_made)
    subprocess.run([sys.executable, "-c", BUILD.format(str(folder))], cwd=source, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(sdist)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def _made(folder: str, names: list[str]) -> set[str]:
    """What of a clone's folder was made there, and is no source."""
    made = {name for name in names if name.endswith((".so", ".pyc", ".egg-info")) or name == "__pycache__"}
    if Path(folder) == ROOT:
        return made | {name for name in names if name in MADE or (name[0] == "." and name != ".clang-format")}
    if Path(folder) in (ROOT / "results", ROOT / "figures"):
        return made | {name for name in names if name not in ("reference", "README.md")}
    return made


@pytest.fixture(scope="session")
def distributions(tmp_path_factory) -> tuple[Path, Path]:
    """:func:`built`, once."""
    return built(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def installed(distributions, tmp_path_factory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``installed(folder, *command)``: a command in ``folder`` and in an environment with the wheel and nothing else.

    The environment holds fasa from the wheel, and links to the tests' own copies of what the wheel's metadata asks for
    without an extra, and what that asks for: no download, but no package that ``pip install fasa`` would not bring.
    """
    place = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin/python"
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", f"--python={python}", "install", *options, str(distributions[1])]
    subprocess.run(command, check=True, capture_output=True)
    (site,) = place.glob("lib/python3*/site-packages")
    (metadata,) = site.glob("fasa-*.dist-info")
    for found in _closure(Distribution.at(metadata), {}).values():
        for top in {Path(file).parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    environment = {"PATH": f"{place / 'bin'}:/usr/bin:/bin", "HOME": str(place), "OMP_NUM_THREADS": "1"}

    def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=170)

    return run


def _closure(of: Distribution, found: dict[str, Distribution]) -> dict[str, Distribution]:
    """What a distribution asks for without an extra, and what that asks for, by name."""
    for requirement in map(Requirement, of.requires or ()):
        name = canonicalize_name(requirement.name)
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found[name] = distribution(name)
            _closure(found[name], found)
    return found


@pytest.fixture(autouse=True)
def a_compiler() -> None:
    """Without one the wheel has no compiled part, which is another test's."""
    if not shutil.which(os.environ.get("CXX", "g++")):
        pytest.skip("no C++ compiler, so the wheel would be another one")
