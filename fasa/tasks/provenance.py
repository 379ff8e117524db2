"""What made a result: code, packages, machine."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fasa

PACKAGES = ("torch", "numpy", "scikit-learn", "scipy", "pandas", "snakemake", "onedl-mmdetection", "onedl-mmcv")


def code_version(root: Path) -> str:
    """The package's version and, in a git checkout, its commit; ``+changes`` where tracked files differ from it."""
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+changes", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return fasa.__version__
    return f"{fasa.__version__} ({described})"


def packages() -> dict[str, str]:
    """The versions of the packages that decide results, those that are installed."""
    return {name: number for name in PACKAGES if (number := installed_version(name)) is not None}


def installed_version(name: str) -> str | None:
    """The version of a package that is installed here; None where it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def environment(root: Path) -> dict[str, Any]:
    """Code version, packages, Python and platform."""
    return {
        "code_version": code_version(root),
        "packages": packages(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
