"""One writer at a time in a folder: a lock that ends with its process, and a sign of life where locks do not reach.

Some file systems lock on one node only, or not at all (Lustre with ``localflock``, NFS without its lock service). There
the holder's host stands in the lease, whose time of change the holder renews: while that is recent, it lives. A holder
that stood still for so long that another took its lease reads so before it saves, and stops; so does one of two that
took it in the same moment.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import TextIO
from uuid import uuid4

from fasa.errors import UserError
from fasa.orphans import is_alive

PATIENCE = 60.0  # seconds for which a predecessor may still be saving and leaving: a requeued job comes soon
PULSE = 30.0  # seconds between two signs of life
DEAD = 120.0  # seconds without one after which a holder on another host is gone
POLL = 0.5
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Busy(UserError):
    """Another process trains this run; it is not the run that failed."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, as its file says.

    Attributes:
        host: the machine's name.
        pid: the process, on that machine.
        job: the Slurm job's number; None outside Slurm.
        since: when it took the lease, in ISO 8601.
        token: of this taking alone.
    """

    host: str
    pid: int
    job: str | None
    since: str
    token: str = ""

    def __str__(self) -> str:
        job = f", Slurm job {self.job}," if self.job else ""
        return f"process {self.pid} on {self.host}{job} since {self.since}"


UNKNOWN = Holder("", 0, None, "")


@dataclass(frozen=True)
class Lease:
    """A lease that was taken; the processes that its holder starts may check it, too."""

    folder: Path
    holder: Holder

    def is_held(self) -> bool:
        """Whether its file still names this taking."""
        return _holder(self.folder / "lease") == self.holder

    def check(self) -> None:
        """Make sure before a save that it is still held.

        Raises:
            Busy: another process took it over, while this one stood still.
        """
        if not self.is_held():
            other = _told(_holder(self.folder / "lease"))
            raise Busy(f"{self.folder} was taken over by {other} while this process stood still; this one stops.")


@contextmanager
def lease(folder: Path) -> Iterator[Lease]:
    """Hold ``folder`` for this process alone; the system lets go when the process ends, however it ends.

    Files that a killed writer left half-written are deleted.

    Raises:
        Busy: another process is still training there after ``PATIENCE`` seconds, or took the lease over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _taken(folder) as stream:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        holder = Holder(socket.gethostname(), os.getpid(), os.environ.get("SLURM_JOB_ID"), since, uuid4().hex)
        held = Lease(folder, holder)
        _write(stream, json.dumps(asdict(holder)))
        ended = Event()
        pulse = Thread(target=_beat, args=(held, stream.fileno(), ended), daemon=True)
        pulse.start()
        try:
            for torn in folder.glob(".*.tmp"):
                torn.unlink()
            yield held
        except Exception:
            held.check()  # a successor deletes half-written files: that may be all that went wrong
            raise
        finally:
            ended.set()
            pulse.join()
            if held.is_held():
                _write(stream, "{}")  # a successor on another host need not wait for DEAD seconds


def _taken(folder: Path) -> TextIO:
    """The lease's open file, held; waits for a holder that is leaving, or that may be dead."""
    path, started = folder / "lease", time.monotonic()
    sign, first_seen, signs = 0.0, 0.0, 0
    told = False
    while True:
        stream = path.open("a+")  # anew each time: NFS looks at its server when a file is opened
        locks, holder = _lock(stream), _holder(path)
        if (now := os.fstat(stream.fileno()).st_mtime) != sign:
            sign, first_seen, signs = now, time.time(), signs + 1
        # A sign that is dated in the future, by a wrong clock, counts as made when it is seen.
        silence = time.time() - min(sign, first_seen)
        if locks != "another's" and (holder is None or silence > DEAD or _ended(holder, locks)):
            return stream
        stream.close()
        # A holder that no lock tells of and that has given no sign since we look may be dead: that is known later.
        if time.monotonic() - started >= PATIENCE and (locks == "another's" or signs > 1):
            raise Busy(f"{folder} is being trained by {_told(holder)}; wait for it or stop it.")
        if not told:
            most = PATIENCE if locks == "another's" else max(PATIENCE, DEAD - silence)
            print(f"fasa: {folder} is held by {_told(holder)}; waiting for it, {most:.0f} s at most.", file=sys.stderr)
            told = True
        time.sleep(POLL)


def _lock(stream: TextIO) -> str:
    """Lock the lease; "ours" where that succeeds, "another's" where another has it, "none" where there are no locks."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "another's"
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return "none"
    return "ours"


def _ended(holder: Holder, locks: str) -> bool:
    """Whether a holder of this host has ended: its lock would tell of it, or its number."""
    return holder.host == socket.gethostname() and (locks == "ours" or not is_alive(holder.pid))


def _beat(held: Lease, descriptor: int, ended: Event) -> None:
    while not ended.wait(PULSE) and held.is_held():
        os.utime(descriptor)


def _holder(path: Path) -> Holder | None:
    """Who holds the lease at ``path``; None where nobody does, and :data:`UNKNOWN` where it is damaged."""
    try:
        text = path.read_text()  # opened anew, as above
        content = json.loads(text or "{}")  # empty: killed before it wrote
        if content == {}:
            return None
        holder = Holder(**content)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError):
        return UNKNOWN
    valid = isinstance(holder.host, str) and type(holder.pid) is int and 0 < holder.pid < 2**31
    return holder if valid else UNKNOWN


def _write(stream: TextIO, text: str) -> None:
    stream.truncate(0)
    stream.write(text)
    stream.flush()


def _told(holder: Holder | None) -> str:
    return str(holder) if holder and holder != UNKNOWN else "another process"
