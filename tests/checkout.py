"""A copy of the parts of the repository that commands and the workflow read."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "workflow", "configs", "profiles", "slurm", "fasa", "environment.yml")
UNFINISHED = shutil.ignore_patterns("*.pyc.*", "*.tmp.*")  # of compiled code, which another test may be writing


def copy_to(folder: Path) -> Path:
    """The parts in ``folder``, which is made where it is not there, with what was compiled of them."""
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=UNFINISHED)
        else:
            shutil.copy(source, folder / part)
    return folder
