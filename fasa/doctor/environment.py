"""The Python that runs this: its version, its packages against the pinned ones, mmcv's operators, LaTeX."""

from __future__ import annotations

import platform
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import fasa
from fasa.doctor.chosen import Chosen
from fasa.doctor.finding import Finding
from fasa.doctor.torch_here import Torch

FILES = ("pyproject.toml", "requirements/lock.txt", "requirements/mmdet.txt")
WORKFLOW = ("snakemake",)  # needed beside what pyproject.toml names
NUMPY = SpecifierSet("<2.3")  # mmdet's transforms fail with later ones
NAMED = 4  # packages that a sentence names, before it only counts


def findings(chosen: Chosen, torch: Torch) -> Iterator[Finding]:
    """What there is to say of the environment."""
    root = chosen.study.root
    if lost := [name for name in FILES if not (root / name).exists()]:
        yield Finding("missing", f"{', '.join(lost)} of this repository are gone.", f"git checkout -- {' '.join(lost)}")
        return
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    mend = install_command(root)
    yield _python(project["requires-python"])
    yield _place(root)
    yield _package(root)
    yield from _packages(root, project["dependencies"], bool(chosen.detectors), mend)
    yield _torch(torch, mend)
    if chosen.detectors and not torch.error:
        yield _operators(root, torch, on_gpus=bool(chosen.gpus or torch.devices))
    yield _latex()


def install_command(root: Path) -> str:
    """What installs the pinned requirements into the environment that runs this."""
    inside = sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").exists()
    if not inside or _own(root):
        return "requirements/install.sh"
    return f"FASA_ENV={sys.prefix} requirements/install.sh"


def _own(root: Path) -> bool:
    return Path(sys.prefix).resolve() == (root / ".venv").resolve()


def _python(wanted: str) -> Finding:
    here = platform.python_version()
    if here in SpecifierSet(wanted, prereleases=True):
        return Finding("ok", f"Python {here}; this project takes {wanted}.")
    return Finding(
        "missing",
        f"Python {here} runs this, and this project takes {wanted}.",
        "rm -rf .venv && PYTHON=python3.11 requirements/install.sh",
    )


def _place(root: Path) -> Finding:
    if _own(root):
        return Finding("ok", "The environment is this clone's own .venv/.")
    if (root / ".venv").exists():
        return Finding(
            "note", f"The environment is {sys.prefix}, and this clone has one of its own.", ". .venv/bin/activate"
        )
    return Finding("note", f"The environment is {sys.prefix}, not this clone's .venv/, which there is none of.")


def _package(root: Path) -> Finding:
    here, ours = Path(fasa.__file__).resolve().parents[1], root.resolve()
    if here == ours:
        return Finding("ok", "The package fasa is this clone's.")
    return Finding(
        "warning",
        f"The package fasa is that of {here}, so changes in this clone do nothing.",
        f"{sys.executable} -m pip install --no-deps --no-build-isolation --editable .",
    )


def _packages(root: Path, direct: list[str], detectors: bool, mend: str) -> Iterator[Finding]:
    """Pinned packages that are absent or of another version; those that the chosen runs cannot do without first."""
    lock, stack = (pinned(root / "requirements" / name) for name in ("lock.txt", "mmdet.txt"))
    wanted = lock | stack
    found = {name: _installed(name) for name in wanted}
    needed = {canonicalize_name(Requirement(line).name) for line in direct} | set(WORKFLOW)
    needed |= set(stack) if detectors else set()
    absent = [name for name, here in found.items() if here is None]
    lacking = [name for name in absent if name in needed]
    spare = [name for name in absent if name not in needed]
    other = [name for name, here in found.items() if here is not None and Version(here).public != wanted[name]]
    if lacking:
        yield Finding("missing", f"Not installed: {named(lacking)}.", mend)
    if spare:
        unused = " (of detectors, which are not asked for)" if not detectors and set(spare) <= set(stack) else ""
        yield Finding("note" if unused else "warning", f"Pinned, but not installed: {named(spare)}{unused}.", mend)
    if other:
        told = named([f"{name} {found[name]}, not {wanted[name]}" for name in other])
        yield Finding("warning", f"Other versions than the pinned ones: {told}.", mend)
    numpy = found.get("numpy")
    if detectors and numpy and numpy not in NUMPY:
        yield Finding("missing", f"numpy is {numpy}, and MMDetection needs one below 2.3.", mend)
    if not absent and not other:
        yield Finding("ok", f"All {len(wanted)} pinned packages are there in their versions.")


def pinned(path: Path) -> dict[str, str]:
    """The versions that a file of requirements pins, by canonical name."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    pairs = (line.split("==") for line in lines if line)
    return {canonicalize_name(name): number for name, number in pairs}


def named(items: list[str]) -> str:
    """The first few of ``items``, and how many more there are."""
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch(torch: Torch, mend: str) -> Finding:
    if torch.error:
        return Finding("missing", f"torch cannot be loaded: {torch.error}.", mend)
    built = f"for CUDA {torch.cuda}" if torch.cuda else "for processors alone"
    return Finding("ok", f"torch {torch.version} loads, a build {built}.")


def _operators(root: Path, torch: Torch, on_gpus: bool) -> Finding:
    """mmcv has no wheels for this torch: its operators were compiled here, and for one torch."""
    if torch.operators_error:
        return Finding(
            "missing",
            f"mmcv's compiled operators do not load ({torch.operators_error}): they are of another torch, or absent.",
            rebuild_command(root),
        )
    if torch.cuda and on_gpus and not torch.operators_for_gpus:
        return Finding(
            "missing",
            "mmcv's operators were compiled without CUDA, as happens where no GPU is seen, and torch is built for it.",
            f"FORCE_CUDA=1 {rebuild_command(root)}",
        )
    return Finding("ok", "mmcv's compiled operators load, and are of this torch.")


def rebuild_command(root: Path) -> str:
    """What compiles mmcv's operators anew: the installer keeps what is of the pinned version."""
    stamp = Path(sys.prefix) / ".fasa-installed"
    wheels = "${XDG_CACHE_HOME:-~/.cache}/fasa-wheels"
    uninstall = f"{sys.executable} -m pip uninstall --yes onedl-mmcv"
    return f"sh -c '{uninstall}; rm -rf {stamp} {wheels}; {install_command(root)}'"


def _latex() -> Finding:
    if shutil.which("pdflatex"):
        return Finding("ok", "LaTeX is here, for whoever compiles the tables.")
    return Finding("note", "No pdflatex is here: tables are written as .tex all the same, and nothing compiles them.")
