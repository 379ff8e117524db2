"""The Python that runs this: its version, its packages against the pinned ones, mmcv's operators, LaTeX."""

from __future__ import annotations

import platform
import shutil
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import fasa
from fasa import errors
from fasa.doctor import installed
from fasa.doctor.check import Check
from fasa.doctor.chosen import Chosen
from fasa.doctor.torch_probe import Torch
from fasa.tasks.detection.task import NO_CUDA
from fasa.tasks.provenance import installed_version

FILES = ("pyproject.toml", "requirements/lock.txt")  # of a clone
NUMPY = SpecifierSet("<2.3")  # mmdet's transforms fail with later ones
NAMED = 4  # packages that a sentence names, before it only counts


def checks(chosen: Chosen, torch: Torch) -> Iterator[Check]:
    """Of Python, of packages and of LaTeX."""
    root = _clone(chosen.study.root)
    if root is None:
        yield from installed.checks(chosen.mmdet)
    else:
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
        yield _python(project["requires-python"])
        yield _place(root)
        yield _package(root)
        yield from _packages(root, project, chosen.mmdet)
    if torch.error:
        fix = install_command(root) if root else errors.install_command(*["mmdet"] * chosen.mmdet)
        yield Check("missing", f"torch cannot be loaded: {torch.error}.", fix)
    else:
        build = f"for CUDA {torch.cuda}" if torch.cuda else "for CPUs only"
        yield Check("ok", f"torch {torch.version} loads, a build {build}.")
        if chosen.mmdet:
            rebuild = rebuild_command(root) if root else installed.BUILD_OPERATORS
            with_cuda = f"FASA_NVCC=pypi {install_command(root)}" if root else installed.BUILD_OPERATORS
            yield _operators(torch, bool(chosen.gpus or torch.devices), rebuild, with_cuda)
    if shutil.which("pdflatex"):
        yield Check("ok", "LaTeX is installed: paper.pdf is built.")
    else:
        yield Check("note", "pdflatex is not installed: tables are written as .tex, and paper.pdf is not built.")


def install_command(root: Path) -> str:
    """What installs the pinned requirements into the environment that runs this."""
    inside = sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").exists()
    return f"{f'FASA_ENV={sys.prefix} ' if inside and not _own(root) else ''}requirements/install.sh"


def _clone(root: Path) -> Path | None:
    """The clone whose pins count: the study's folder, or that of the package; None where fasa is installed alone."""
    folders = root, Path(fasa.__file__).parents[1]
    return next((folder for folder in folders if all((folder / name).exists() for name in FILES)), None)


def _own(root: Path) -> bool:
    return Path(sys.prefix).resolve() == (root / ".venv").resolve()


def _python(wanted: str) -> Check:
    here = platform.python_version()
    if here in SpecifierSet(wanted, prereleases=True):
        return Check("ok", f"Python {here}; this project takes {wanted}.")
    told = f"Python {here} runs this, and this project takes {wanted}."
    return Check("missing", told, "rm -rf .venv && PYTHON=python3.11 requirements/install.sh")


def _place(root: Path) -> Check:
    if _own(root):
        return Check("ok", "The environment is this clone's own .venv/.")
    own, fix = ("a .venv/", ". .venv/bin/activate") if (root / ".venv").exists() else ("no .venv/", "")
    return Check("note", f"The environment is {sys.prefix}; this clone has {own} of its own.", fix)


def _package(root: Path) -> Check:
    here = Path(fasa.__file__).resolve().parents[1]
    if here == root.resolve():
        return Check("ok", "The package fasa is this clone's.")
    told = f"The package fasa is that of {here}, so changes in this clone do nothing."
    return Check("warning", told, f"{sys.executable} -m pip install --no-deps --no-build-isolation --editable .")


def _packages(root: Path, project: dict[str, Any], mmdet: bool) -> Iterator[Check]:
    """Pinned packages that are absent or of another version; those that the chosen runs cannot do without first."""
    fix = install_command(root)
    extras = project["optional-dependencies"]
    stack = pinned(line for line in extras["mmdet"] if "==" in line)
    wanted = pinned((root / "requirements" / "lock.txt").read_text().splitlines()) | stack
    found = {name: installed_version(name) for name in wanted}
    needed: set[str] = {
        canonicalize_name(Requirement(line).name) for line in (*project["dependencies"], *extras["repro"])
    }
    needed |= stack.keys() if mmdet else set()
    absent = [name for name, here in found.items() if here is None]
    other = [name for name, here in found.items() if here is not None and Version(here).public != wanted[name]]
    if lacking := [name for name in absent if name in needed]:
        yield Check("missing", f"Not installed: {named(lacking)}.", fix)
    if spare := [name for name in absent if name not in needed]:
        unused = " (of detectors, which are not asked for)" if not mmdet and set(spare) <= set(stack) else ""
        yield Check("note" if unused else "warning", f"Pinned, but not installed: {named(spare)}{unused}.", fix)
    if other:
        versions = named([f"{name} {found[name]}, not {wanted[name]}" for name in other])
        yield Check("warning", f"Other versions than the pinned ones: {versions}.", fix)
    numpy = found.get("numpy")
    if mmdet and numpy and numpy not in NUMPY:
        yield Check("missing", f"numpy is {numpy}, and MMDetection needs one below 2.3.", fix)
    if not absent and not other:
        yield Check("ok", f"All {len(wanted)} pinned packages are there in their versions.")


def pinned(lines: Iterable[str]) -> dict[str, str]:
    """The versions that lines of requirements pin, by canonical name."""
    pairs = (line.split("==") for each in lines if (line := each.partition("#")[0].strip()))
    return {canonicalize_name(name): number for name, number in pairs}


def named(items: list[str]) -> str:
    """The first few of ``items``, and how many more there are."""
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more


def _operators(torch: Torch, on_gpus: bool, rebuild: str, with_cuda: str) -> Check:
    """mmcv has no wheels for this torch: its operators were compiled here, and for one torch."""
    if reason := torch.operators_error:
        told = f"mmcv's compiled operators do not load ({reason}): they are of another torch, or absent."
        return Check("missing", told, rebuild)
    if torch.cuda and on_gpus and torch.operators_cuda == NO_CUDA:
        told = "mmcv's operators were compiled for CPUs alone, as without CUDA's toolkit, and torch is built for CUDA."
        return Check("missing", told, with_cuda)
    return Check("ok", "mmcv's compiled operators load, and are of this torch.")


def rebuild_command(root: Path) -> str:
    """What compiles mmcv's operators anew: the installer keeps what is of the pinned version."""
    stamp = Path(sys.prefix) / ".fasa-installed"
    wheels = "${XDG_CACHE_HOME:-~/.cache}/fasa-wheels"
    uninstall = f"{sys.executable} -m pip uninstall --yes onedl-mmcv"
    return f"sh -c '{uninstall}; rm -rf {stamp} {wheels}; {install_command(root)}'"
