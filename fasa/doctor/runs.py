"""Runs: those that failed, were left, or are of older recipes, and the locks that others hold."""

from __future__ import annotations

import shlex
import stat
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fasa.doctor.chosen import Chosen
from fasa.doctor.finding import Finding, count
from fasa.tasks.heartbeat import read_heartbeat
from fasa.tasks.lease import DEAD

GB = 1e9
WORTH_TELLING = 0.1  # GB of older checkpoints


def findings(chosen: Chosen) -> Iterator[Finding]:
    """What there is to say of the runs."""
    study, now = chosen.study, time.time()
    scale = f"--scale {study.scale.name}"
    states = Counter(chosen.states.values())
    training = [run for run in chosen.runs if (beat := read_heartbeat(study, run)) is not None and beat.alive(now)]
    yield Finding("ok", f"{states['done']} of {len(chosen.runs)} are measured; {len(training)} train now.")
    if states["damaged"]:
        yield Finding("missing", f"{count(states['damaged'], 'metrics.json')} cannot be read.", f"fasa status {scale}")
    if states["failed"]:
        yield Finding("warning", f"{states['failed']} failed; the reasons:", f"fasa status {scale}")
    if states["stale"]:
        yield Finding(
            "note",
            f"{count(states['stale'], 'run')} of older recipes: the workflow trains them again.",
            f"fasa plan {scale}",
        )
    if dead := [run for run in chosen.runs if _left(study.work_dir(run.recipe, run.seed) / "lease", now)]:
        yield Finding("note", f"{count(len(dead), 'lease')} of trainings that are gone: the next one takes it.")
    yield from _older(chosen)
    yield from _workflow_lock(study.root)


def _left(lease: Path, now: float) -> bool:
    """Whether a lease names a holder that has given no sign of life for long."""
    try:
        return len(lease.read_text()) > len("{}") and now - lease.stat().st_mtime > DEAD
    except OSError:
        return False


def _older(chosen: Chosen) -> Iterator[Finding]:
    """Checkpoints of recipes as they were: nothing reads them, and nothing deletes them."""
    folders = []
    for run in chosen.runs:
        own = chosen.study.checkpoint_dir(run.recipe, run.seed)
        folders += [path for path in sorted(own.parent.glob("*")) if path.is_dir() and path != own]
    size = sum(_bytes(path) for folder in folders for path in folder.rglob("*")) / GB
    if size >= WORTH_TELLING:
        told = shlex.join(str(folder) for folder in folders)
        yield Finding(
            "note", f"Checkpoints of older recipes, which nothing reads, hold {size:.1f} GB.", f"rm -r {told}"
        )


def _bytes(path: Path) -> int:
    """Of a file; 0 of what is none, or has gone since it was listed."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _workflow_lock(root: Path) -> Iterator[Finding]:
    locks = root / ".snakemake" / "locks"
    if locks.is_dir() and any(locks.iterdir()):
        yield Finding(
            "note", "A snakemake runs in this folder, or was killed; if none runs, unlock it.", "snakemake --unlock"
        )
