"""Disks: room for what the chosen runs will leave, and whether folders can be written and locked; memory, too."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fasa.doctor.check import Check
from fasa.doctor.chosen import Chosen
from fasa.study.cost import GB, Costs
from fasa.tasks.lease import NO_LOCKS

TIGHT = 1.25  # free space, over what is needed, below which something else may take it
MADE = ("work_dirs", "results", "figures", "logs", "resources")


def checks(chosen: Chosen, here: bool) -> Iterator[Check]:
    """Of disks; of memory where runs train ``here`` and not on other machines."""
    yield _room(chosen)
    disks: dict[int, list[str]] = {}
    for name in MADE:
        disks.setdefault(standing(chosen.study.root / name).stat().st_dev, []).append(name)
    for names in disks.values():
        yield _usable(chosen.study.root, names)
    if here:
        yield _memory(chosen)


def still_to_come(chosen: Chosen) -> float:
    """Gigabytes that the runs will leave which are still to train."""
    costs = Costs(chosen.study)
    return sum(costs.disk_gb(run.recipe) for run in chosen.to_train)


def standing(path: Path) -> Path:
    """``path``, or the nearest folder above it that there is; links are followed."""
    path = path.resolve()
    while not os.path.exists(path):  # no error in a folder that is closed to us
        path = path.parent
    return path


def _room(chosen: Chosen) -> Check:
    needed = still_to_come(chosen)
    free = shutil.disk_usage(standing(chosen.study.root / "work_dirs")).free / GB
    told = f"{free:,.1f} GB are free for work_dirs/, and the runs to come leave about {needed:,.1f} GB"
    if not chosen.to_train:
        return Check("ok", f"{free:,.1f} GB are free for work_dirs/, and nothing is left to train.")
    if needed > free:
        move = "mkdir -p work_dirs && mv work_dirs /LARGER/ && ln -s /LARGER/work_dirs work_dirs"
        return Check("missing", f"{told}: put work_dirs/ on a larger disk (/LARGER).", move)
    if needed * TIGHT > free:
        return Check("warning", f"{told}: little is left for anything else.", "du -sh work_dirs/*/* | sort -h")
    return Check("ok", f"{told}.")


def _usable(root: Path, names: list[str]) -> Check:
    """Whether folders of one file system can be written and locked, tried with a file that has no name."""
    for name in names:
        folder = standing(root / name)
        try:
            with tempfile.TemporaryFile(dir=folder) as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                told = "a run that trains is then known by its signs of life, every 30 s"
                return Check("warning", f"{folder} has no file locks ({error.strerror}): {told}.")
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            fix = "df -h ." if full else f"chmod u+rwx {folder}" if folder.stat().st_uid == os.getuid() else ""
            return Check("missing", f"{folder} cannot be written ({error.strerror}).", fix)
    return Check("ok", f"{', '.join(f'{name}/' for name in names)} can be written, and locked.")


def _memory(chosen: Chosen) -> Check:
    largest = (
        max((chosen.study.task_scale(name).resources.get("mem_mb", 0) for name in chosen.recipes), default=0) / 1000
    )
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GB
    told = f"This machine has {there:,.0f} GB of memory, and the largest run asks for {largest:,.1f}"
    return Check("ok", f"{told}.") if there >= largest else Check("warning", f"{told}: the system may kill it.")
