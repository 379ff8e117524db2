"""A copy of the repository's workflow in a temporary folder, and Snakemake to run in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import copy_to

Snakemake = Callable[..., subprocess.CompletedProcess[str]]


def runner(folder: Path) -> Snakemake:
    """``snakemake`` with the given arguments in ``folder``, at scale smoke unless the arguments name one."""

    def run(*arguments: str, scale: str | None = "smoke", check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        if scale is not None:
            command += ["--config", f"scale={scale}"]
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=540)
        if check:
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    return run


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh copy of the workflow."""
    return copy_to(tmp_path / "checkout")


@pytest.fixture
def snakemake(checkout: Path) -> Snakemake:
    """Snakemake in :func:`checkout`."""
    return runner(checkout)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workflow in which a table and a figure were made from nothing, and what Snakemake printed."""
    folder = copy_to(tmp_path_factory.mktemp("made") / "checkout")
    return folder, runner(folder)("table_adaptation_unit", "figure_cifar_fig4a").stdout


@pytest.fixture
def again(made: tuple[Path, str]) -> Snakemake:
    """Snakemake where everything of ``made`` is there already; for dry runs."""
    return runner(made[0])
