"""A sign of life of a training: how far it is, beside its weights, for whoever watches from another machine."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fasa.tasks.task import Job

NAME = "heartbeat.json"
INTERVAL = 5.0  # seconds between two beats
SILENCE = 120.0  # seconds without a beat after which a training counts as stopped


@dataclass(frozen=True)
class Beat:
    """The last sign of life of a training.

    Attributes:
        fingerprint: of the recipe that it trains.
        epoch: epochs done, with the part of the one that runs.
        epochs: of the schedule.
        loss: the last training loss; None where none is known, or it is not finite.
        seconds: device seconds so far, of all attempts.
        seconds_per_epoch: elapsed seconds of an epoch, of this attempt; None until it has got anywhere.
        started: when this attempt began, in seconds since 1970.
        updated: when this was written, in seconds since 1970.
        host: the machine's name.
        pid: the process, on that machine.
        slurm_job: the Slurm job's number; None outside Slurm.
    """

    fingerprint: str
    epoch: float
    epochs: int
    loss: float | None
    seconds: float
    seconds_per_epoch: float | None
    started: float
    updated: float
    host: str
    pid: int
    slurm_job: str | None

    def age(self, now: float) -> float:
        """Seconds from this beat to the time ``now``."""
        return now - self.updated

    def alive(self, now: float) -> bool:
        """Whether a training that beat like this still runs at the time ``now``, and was not killed or put off."""
        return self.age(now) <= SILENCE

    def remaining(self) -> float | None:
        """Elapsed seconds to the end at the speed of this attempt; None where that is not known yet."""
        return None if self.seconds_per_epoch is None else self.seconds_per_epoch * max(0.0, self.epochs - self.epoch)


class Heartbeat:
    """Writes the ``heartbeat.json`` of a training; the first process of a training has the only one."""

    def __init__(self, job: Job, epochs: int) -> None:
        self._path = job.work_dir / NAME
        self._fingerprint, self._epochs = job.fingerprint, epochs
        self._started, self._written = time.time(), -math.inf
        self._first: tuple[float, float] | None = None  # epoch and time of this attempt's first beat

    def beat(self, epoch: float, loss: float | None, seconds: float) -> None:
        """Say where the training is, unless it was said less than :data:`INTERVAL` seconds ago; the end always is.

        Args:
            epoch: epochs done, with the part of the one that runs.
            loss: the last training loss; None where none is known.
            seconds: device seconds so far, of all attempts.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = epoch, now
        if now - self._written < INTERVAL and epoch < self._epochs:
            return
        self._written = now
        done, took = epoch - self._first[0], now - self._first[1]
        beat = Beat(
            fingerprint=self._fingerprint,
            epoch=round(epoch, 4),
            epochs=self._epochs,
            loss=float(loss) if loss is not None and math.isfinite(loss) else None,
            seconds=round(seconds, 3),
            seconds_per_epoch=took / done if done > 0 else None,
            started=self._started,
            updated=time.time(),
            host=socket.gethostname(),
            pid=os.getpid(),
            slurm_job=os.environ.get("SLURM_JOB_ID"),
        )
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        try:
            # Renamed, so that nobody reads half of it, but not flushed: a beat is worth no wait for a disk.
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(asdict(beat)) + "\n")
            os.replace(temporary, self._path)
        except OSError:
            # A full or absent disk stops a training where it loses something, at its checkpoint; nothing is lost here.
            pass


def read_heartbeat(work_dir: Path, fingerprint: str) -> Beat | None:
    """The last beat in ``work_dir`` of a training of the recipe with ``fingerprint``.

    None where there is none, or the file is damaged: that says no more of a training than that nothing is known.
    """
    try:
        content = json.loads((work_dir / NAME).read_text())
        beat = Beat(**{field.name: content[field.name] for field in fields(Beat)})
        float(beat.epoch), float(beat.epochs), float(beat.seconds), float(beat.updated)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return beat if beat.fingerprint == fingerprint else None
