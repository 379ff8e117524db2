"""Disks: room for what the chosen runs will leave, and whether folders can be written and locked; memory, too."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fasa.doctor.chosen import Chosen
from fasa.doctor.finding import Finding
from fasa.study.cost import Costs
from fasa.tasks.lease import NO_LOCKS

GB = 1e9
TIGHT = 1.25  # free space, over what is needed, below which something else may take it
MADE = ("work_dirs", "results", "figures", "logs", "resources")


def findings(chosen: Chosen, here: bool) -> Iterator[Finding]:
    """What there is to say of disks; of memory where runs train ``here`` and not on other machines."""
    yield _room(chosen)
    places: dict[int, list[str]] = {}
    for name in MADE:
        places.setdefault(standing(chosen.study.root / name).stat().st_dev, []).append(name)
    for names in places.values():
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
    while not os.path.exists(path):  # which is no error where one may not look
        path = path.parent
    return path


def _room(chosen: Chosen) -> Finding:
    needed, folder = still_to_come(chosen), chosen.study.root / "work_dirs"
    free = shutil.disk_usage(standing(folder)).free / GB
    told = f"{free:,.1f} GB are free for work_dirs/, and the runs to come leave about {needed:,.1f} GB"
    if not chosen.to_train:
        return Finding("ok", f"{free:,.1f} GB are free for work_dirs/, and nothing is left to train.")
    if needed > free:
        return Finding(
            "missing",
            f"{told}: put work_dirs/ on a larger disk (/LARGER).",
            "mkdir -p work_dirs && mv work_dirs /LARGER/ && ln -s /LARGER/work_dirs work_dirs",
        )
    if needed * TIGHT > free:
        return Finding("warning", f"{told}: little is left for anything else.", "du -sh work_dirs/*/* | sort -h")
    return Finding("ok", f"{told}.")


def _usable(root: Path, names: list[str]) -> Finding:
    """Whether folders of one file system can be written and locked, tried with a file that has no name."""
    told = ", ".join(f"{name}/" for name in names)
    for name in names:
        folder = standing(root / name)
        try:
            with tempfile.TemporaryFile(dir=folder) as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return Finding(
                    "warning",
                    f"{folder} has no file locks ({error.strerror}): that one run is not trained twice is then told "
                    "by signs of life every 30 s.",
                )
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            mend = "df -h ." if full else f"chmod u+rwx {folder}" if folder.stat().st_uid == os.getuid() else ""
            return Finding("missing", f"{folder} cannot be written ({error.strerror}).", mend)
    return Finding("ok", f"{told} can be written, and locked.")


def _memory(chosen: Chosen) -> Finding:
    widest = (
        max((chosen.study.task_scale(name).resources.get("mem_mb", 0) for name in chosen.recipes), default=0) / 1000
    )
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GB
    told = f"{there:,.0f} GB of memory here, and the largest run asks for {widest:,.1f}"
    return Finding("ok", f"{told}.") if there >= widest else Finding("warning", f"{told}: the system may end it.")
