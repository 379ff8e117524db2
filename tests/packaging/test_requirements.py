"""One version of everything: pyproject.toml, the lock, conda's file and the citation say the same."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import fasa

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
BUILT = "onedl-"  # by install.sh, from source, in the versions of the extra mmdet


def pins(lines: list[str]) -> dict[str, str]:
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, version in pairs}


LOCK = pins((ROOT / "requirements/lock.txt").read_text().splitlines())


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)])
def test_what_is_asked_for_is_locked_in_a_version_that_is_allowed(line):
    asked = Requirement(line)
    if asked.name.startswith(BUILT):
        assert str(asked.specifier).startswith("==") and asked.name not in LOCK
    else:
        assert LOCK[canonicalize_name(asked.name)] in asked.specifier


def test_condas_file_has_the_locked_versions_of_what_a_classifier_needs():
    asked = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = pins(next(entry["pip"] for entry in asked if isinstance(entry, dict)))
    assert conda == {name: LOCK[name] for name in conda}
    needed = {canonicalize_name(Requirement(line).name) for line in (*PROJECT["dependencies"], *EXTRAS["repro"])}
    assert needed - {*conda} == {"snakemake-executor-plugin-slurm"}  # of the machine that sends jobs


def test_the_oldest_python_that_is_promised_may_have_all_of_them():
    """Debian 12 has 3.11.2."""
    needs = {name: metadata(name)["Requires-Python"] for name in LOCK}
    assert not {name: need for name, need in needs.items() if need and "3.11.0" not in SpecifierSet(need)}


def test_opencv_is_the_one_without_libgl():
    assert "opencv-python" not in LOCK and "opencv-python-headless" in LOCK


def test_the_citation_is_of_this_version():
    assert re.search(rf"^version: {re.escape(fasa.__version__)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)


def test_the_container_has_what_set_up_asks_of_debian_and_leaves_out_nothing_of_the_repository():
    container = (ROOT / "requirements/Containerfile").read_text()
    asked = re.findall(r"apt-get install ([\w+. -]+?)\"", (ROOT / "requirements/install.sh").read_text())
    named = {package for line in asked for package in line.split()}
    assert {"g++", "python3-venv"} < named and named < set(container.split())
    ignored = (ROOT / "requirements/Containerfile.dockerignore").read_text().split()
    folders = {line for line in ignored if re.fullmatch(r"[\w.]+", line)}
    for path in map(Path, tracked()):
        assert path.suffix not in {".so", ".pyc"} and path.parts[0] not in folders
        assert path.parts[0] not in {"results", "figures"} or path.parts[1] == "reference"


def tracked() -> list[str]:
    try:
        return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a clone: what the repository holds is not known")
