"""What a package that is installed outside a clone lacks, by its own metadata."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import requires

from packaging.requirements import Requirement

import fasa
from fasa.doctor.check import Check
from fasa.errors import install_command
from fasa.tasks.provenance import installed_version

BUILD_OPERATORS = "pip install --force-reinstall --no-deps --no-build-isolation onedl-mmcv"


def checks(mmdet: bool) -> Iterator[Check]:
    """Of Python and of packages; those of detectors are missed where ``mmdet`` says so."""
    yield Check("ok", f"Python {platform.python_version()}, fasa {fasa.__version__} of {fasa.__path__[0]}.")
    doors = {"": "the method, the evaluator and planning", "repro": "the workflow, tables and figures"}
    if mmdet:
        doors["mmdet"] = "detectors"
    for extra, purpose in doors.items():
        if absent := _absent(extra):
            fix = install_command(extra) if extra else install_command()
            yield Check("warning" if extra == "repro" else "missing", f"For {purpose}: {', '.join(absent)}.", fix)
        else:
            yield Check("ok", f"All packages for {purpose} are there.")


def _absent(extra: str) -> list[str]:
    """What the package asks for with ``extra`` that is not installed, or not in its version."""
    found = []
    for requirement in map(Requirement, requires("fasa") or ()):
        of_core = requirement.marker is None
        if of_core != (extra == "") or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        here = installed_version(requirement.name)
        if here is None:
            found.append(f"{requirement.name} is not installed")
        elif not requirement.specifier.contains(here, prereleases=True):
            found.append(f"{requirement.name} is {here}, not {requirement.specifier}")
    return found
