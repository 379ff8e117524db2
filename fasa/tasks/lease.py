"""One writer at a time in a folder: a lock that ends with its process, and a sign of life where locks do not reach.

Some file systems lock on one node only, or not at all (Lustre with ``localflock``, NFS without its lock service). There
the holder's host stands in the lease, whose time of change the holder renews: while that is recent, it lives. Two that
start in the same second on two such nodes are not told apart.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, TextIO

from fasa.errors import UserError

PATIENCE = 60.0  # seconds for which a predecessor may still be saving and leaving: a requeued job comes soon
PULSE = 30.0  # seconds between two signs of life
DEAD = 120.0  # seconds without one after which a holder on another host is gone
POLL = 0.5
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Busy(UserError):
    """Another process trains this run; it is not the run that failed."""


@contextmanager
def lease(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process alone; the system lets go when the process ends, however it ends.

    Files that a killed writer left half-written are deleted.

    Raises:
        Busy: another process is still training there after ``PATIENCE`` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _taken(folder) as stream:
        _write(stream, {**_here(), "since": datetime.now().astimezone().isoformat(timespec="seconds")})
        ended = Event()
        pulse = Thread(target=_beat, args=(stream.fileno(), ended), daemon=True)
        pulse.start()
        try:
            for torn in folder.glob(".*.tmp"):
                torn.unlink()
            yield
        finally:
            ended.set()
            pulse.join()
            _write(stream, {})  # a successor on another host need not wait for DEAD seconds


def _taken(folder: Path) -> TextIO:
    """The lease's open file, held; waits for a holder that is leaving."""
    started, seen = time.monotonic(), None
    while True:
        stream = (folder / "lease").open("a+")  # anew each time: NFS looks at its server when a file is opened
        free, sign = _try(stream)
        if free:
            return stream
        holder = _holder(stream)
        stream.close()
        seen = seen or sign
        # A holder on another host that has given no sign since we look may be dead: it is known after DEAD seconds.
        if time.monotonic() - started >= PATIENCE and (sign is None or sign != seen):
            raise Busy(f"{folder} is being trained by {_told(holder)}; wait for it or stop it.")
        time.sleep(POLL)


def _try(stream: TextIO) -> tuple[bool, float | None]:
    """Whether the lease is ours now; else the last sign of life of a holder that no lock tells of."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locks = True
    except BlockingIOError:
        return False, None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        locks = False
    holder, sign = _holder(stream), os.fstat(stream.fileno()).st_mtime
    if not holder or time.time() - sign > DEAD:
        return True, None
    if holder["host"] == _here()["host"] and (locks or not _alive(holder["pid"])):
        return True, None
    return False, sign


def _beat(descriptor: int, ended: Event) -> None:
    while not ended.wait(PULSE):
        os.utime(descriptor)


def _here() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}


def _holder(stream: TextIO) -> dict[str, Any]:
    """What the holder wrote; nothing where it left, or was killed while it wrote."""
    stream.seek(0)
    try:
        return json.load(stream)
    except ValueError:
        return {}


def _write(stream: TextIO, holder: dict[str, Any]) -> None:
    stream.truncate(0)
    stream.write(json.dumps(holder))
    stream.flush()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _told(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    job = f", Slurm job {holder['job']}," if holder["job"] else ""
    return f"process {holder['pid']} on {holder['host']}{job} since {holder['since']}"
