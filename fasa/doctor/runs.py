"""Runs: those that failed, were left, or are of older recipes, and the locks that others hold."""

from __future__ import annotations

import shlex
import stat
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fasa.doctor.check import Check, count
from fasa.doctor.chosen import Chosen
from fasa.study.cost import GB
from fasa.tasks.heartbeat import read_heartbeat
from fasa.tasks.lease import DEAD

WORTH_TELLING = 0.1  # GB of older checkpoints


def checks(chosen: Chosen) -> Iterator[Check]:
    """Of the runs, of what they left, and of the workflow."""
    study, now = chosen.study, time.time()
    scale = f"--scale {study.scale.name}"
    states = Counter(chosen.states.values())
    folders = [(study.work_dir(run.recipe, run.seed), study.fingerprint(run.recipe)) for run in chosen.runs]
    training = [beat for place in folders if (beat := read_heartbeat(*place)) is not None and beat.alive(now)]
    yield Check("ok", f"{states['done']} of {len(chosen.runs)} are measured; {len(training)} train now.")
    if states["damaged"]:
        yield Check("missing", f"{count(states['damaged'], 'metrics.json')} cannot be read.", f"fasa status {scale}")
    if states["failed"]:
        yield Check("warning", f"{states['failed']} failed; this shows why:", f"fasa status {scale}")
    if states["stale"]:
        told = f"{count(states['stale'], 'run')} of older recipes: the workflow trains them again."
        yield Check("note", told, f"fasa plan {scale}")
    if dead := [folder for folder, _ in folders if _left(folder / "lease", now)]:
        yield Check("note", f"{count(len(dead), 'lease')} of trainings that are gone: the next one takes it.")
    yield from _older(chosen)
    locks = study.root / ".snakemake" / "locks"
    if locks.is_dir() and any(locks.iterdir()):
        told = "A snakemake runs in this folder, or was killed; if none runs, unlock it."
        yield Check("note", told, "snakemake --unlock")


def _left(lease: Path, now: float) -> bool:
    """Whether a lease names a holder that has given no sign of life for long."""
    try:
        found = lease.stat()
        return found.st_size > len("{}") and now - found.st_mtime > DEAD
    except OSError:
        return False


def _older(chosen: Chosen) -> Iterator[Check]:
    """Checkpoints of recipes as they were: nothing reads them, and nothing deletes them."""
    folders: list[Path] = []
    for run in chosen.runs:
        own = chosen.study.checkpoint_dir(run.recipe, run.seed)
        folders += [path for path in sorted(own.parent.glob("*")) if path.is_dir() and path != own]
    size = sum(_bytes(path) for folder in folders for path in folder.rglob("*")) / GB
    if size >= WORTH_TELLING:
        told = f"Checkpoints of older recipes, which nothing reads, hold {size:.1f} GB."
        yield Check("note", told, f"rm -r {shlex.join(map(str, folders))}")


def _bytes(path: Path) -> int:
    """Of a file; 0 of what is none, or has gone since it was listed."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
