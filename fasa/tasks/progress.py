"""A bar of a training that runs inside another program's loop: how far it is, by its heartbeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.progress import Progress

from fasa.tasks.heartbeat import read_heartbeat
from fasa.tasks.task import Job

LOOK_EVERY = 1.0  # seconds


@contextmanager
def following(job: Job, progress: Progress) -> Iterator[None]:
    """Move a bar of ``progress`` while ``job`` is trained inside; nothing where no terminal shows it."""
    if progress.disable:
        yield
        return
    bar = progress.add_task(str(job), total=job.recipe.schedule.epochs)
    over = Event()

    def follow() -> None:
        while not over.wait(LOOK_EVERY):
            if (beat := read_heartbeat(job.work_dir, job.fingerprint)) is not None:
                progress.update(bar, completed=beat.epoch)

    watcher = Thread(target=follow, daemon=True)
    watcher.start()
    try:
        yield
        progress.update(bar, completed=job.recipe.schedule.epochs)
    finally:
        over.set()
        watcher.join()
