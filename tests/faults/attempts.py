"""Attempts at a command of fasa in processes of their own, forked after the imports, for a fault to end.

The processes come from multiprocessing's fork server, which has imported everything and trained nothing.
"""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
from pathlib import Path
from typing import Any

KILLED = 137  # what a shell says of a process that SIGKILL ended
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
KEPT = (".pt", ".pth", ".json", ".jsonl", ".npz")
HEARTBEAT = "heartbeat.json"
CHANGES = ("os.rename", "os.remove", "os.mkdir")

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    [
        "fasa.cli",
        "fasa.tasks.classification.session",
        "fasa.tasks.detection.session",
        "fasa.reporting",
        "matplotlib.pyplot",
        "torch._dynamo",  # which the first optimizer imports, for a second
    ]
)


def start(root: Path, arguments: list[str], kill_at: int | None = None) -> multiprocessing.Process:
    """A process that runs ``fasa ARGUMENTS`` in ``root``; it ends itself at the ``kill_at``-th event on the disk.

    An event is a call that changes something under ``root``, just before it happens; what a call of fsync was to flush
    is cut in half. What the command says goes to ``root/said``. With a ``kill_at`` of 0 it lives, and what stood on the
    disk at each event goes to ``root/events``.
    """
    process = context.Process(target=_run, args=(str(root), arguments, kill_at))
    process.start()
    return process


def attempt(root: Path, *arguments: str, kill_at: int | None = None) -> int:
    """The exit code of ``fasa ARGUMENTS``."""
    process = start(root, list(arguments), kill_at)
    process.join()
    return process.exitcode


def events(root: Path) -> list[int]:
    """Numbers of all events of the last attempt with a ``kill_at`` of 0."""
    return list(range(1, len(_pictures(root)) + 1))


def distinct_events(root: Path) -> list[int]:
    """Numbers of those events before which the whole files of runs were others than before the event before.

    To go on after a kill between these is to go on from the same files.
    """
    pictures = _pictures(root)
    return [n + 1 for n in range(len(pictures)) if n == 0 or pictures[n] != pictures[n - 1]]


def _pictures(root: Path) -> list[str]:
    return json.loads((root / "events").read_text())


def said(root: Path) -> str:
    """What all attempts in ``root`` said."""
    return (root / "said").read_text()


def copy(root: Path, to: Path, *parts: str) -> Path:
    """A root beside ``root`` with its configs and data, and copies of what ``parts`` of it hold."""
    to.mkdir()
    for shared in ("configs", "resources"):
        (to / shared).symlink_to((root / shared).resolve())
    for part in parts:
        shutil.copytree(root / part, to / part)
    return to


def _run(root: str, arguments: list[str], kill_at: int | None) -> None:
    from fasa.cli import main

    gc.freeze()  # what was imported before the fork is no garbage, and takes a second to look through
    os.chdir(root)
    log = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1), os.dup2(log, 2)
    pictures = None if kill_at is None else _watch(root, kill_at)
    code = main(arguments)
    sys.stdout.flush(), sys.stderr.flush()
    if pictures is not None:
        Path("events").write_text(json.dumps(pictures))
    os._exit(code)


def _watch(root: str, kill_at: int) -> list[str]:
    """Count the events from here on in what is returned; end the process at the one with the number ``kill_at``."""
    seen: list[str] = []

    def event(descriptor: int | None = None) -> None:
        seen.append("" if kill_at else _picture(Path(root)))
        if len(seen) == kill_at:
            if descriptor is not None:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os._exit(KILLED)

    def counts(path: str) -> bool:  # signs of life come by the clock, so their numbers would not be the same
        return path.startswith(root) and HEARTBEAT not in path

    def hook(name: str, args: tuple[Any, ...]) -> None:
        if name in CHANGES or (name == "open" and (args[2] or 0) & WRITES):
            path = args[0]
            if isinstance(path, str | os.PathLike) and counts(os.path.abspath(path)):
                event()

    fsync = os.fsync

    def watched(descriptor: int) -> None:
        event(descriptor)
        fsync(descriptor)

    os.fsync = watched
    sys.addaudithook(hook)
    return seen


def _picture(root: Path) -> str:
    """A digest of the files that runs left, but those half-written, and logs."""
    digest = hashlib.sha256()
    for path in sorted(path for part in ("work_dirs", "results") for path in (root / part).rglob("*")):
        if path.suffix in KEPT and not path.name.startswith(".") and path.name != HEARTBEAT:
            digest.update(f"{path}\n".encode() + path.read_bytes())
    return digest.hexdigest()
