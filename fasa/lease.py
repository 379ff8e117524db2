"""One writer at a time in a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fasa.errors import UserError


class Busy(UserError):
    """Another process trains this run; it is not the run that failed."""


@contextmanager
def lease(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process alone; the system lets go when the process ends, however it ends.

    Files that a killed writer left half-written are deleted.

    Raises:
        Busy: another process is training there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lease").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(f"{folder} is being trained by another process; wait for it or stop it.") from error
        for torn in folder.glob(".*.tmp"):
            torn.unlink()
        yield
