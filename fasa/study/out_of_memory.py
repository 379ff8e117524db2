"""Jobs that Slurm ended for want of memory, as their logs tell: the run itself was killed before it could say so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fasa.tasks.task import Run

LOGS = Path("logs/slurm")  # slurm/profile.yaml; those of jobs that went well are deleted
MOST = 4  # times what a run asks for at first
ENDED = re.compile(r"oom.kill|exceeded (?:job )?memory limit", re.IGNORECASE)  # by the kernel; by Slurm itself
JOB = re.compile(r"--target-jobs (\w+):recipe=([\w-]+),seed=(\d+)\b")
SCALE = re.compile(r"--config .*?\bscale=([\w-]+)")
HAD = re.compile(r"^Job \d+: .* with (\d+) MB$", re.MULTILINE)  # the message of a rule of workflow/rules


@dataclass(frozen=True)
class Starved:
    """Jobs of one step of a run that were ended for want of memory.

    ``times`` counts them, ``last`` says whether the latest job was one, and ``memory_mb`` what it had, where that is
    known.
    """

    times: int
    last: bool
    memory_mb: int | None

    @property
    def reason(self) -> str:
        """Why there is no result, in a few words."""
        had = f" with {self.memory_mb:,} MB" if self.memory_mb is not None else ""
        return f"out of memory{had}: Slurm ended its job"


@dataclass(frozen=True)
class _Log:
    scale: str
    step: str
    run: Run
    starved: bool
    memory_mb: int | None


def starved_jobs(root: Path, scale: str) -> Mapping[tuple[str, Run], Starved]:
    """What ended for want of memory at ``scale`` in the study in ``root``, by rule (train or evaluate) and run."""
    found: dict[tuple[str, Run], list[_Log]] = {}
    for path in sorted((root / LOGS).rglob("*.log"), key=_date):
        log = _read(path, _date(path))
        if log is not None and log.scale == scale:
            found.setdefault((log.step, log.run), []).append(log)
    return {
        job: Starved(times, logs[-1].starved, logs[-1].memory_mb)
        for job, logs in found.items()
        if (times := sum(log.starved for log in logs))
    }


def starved_reason(starved: Mapping[tuple[str, Run], Starved], run: Run, state: str) -> str | None:
    """Why ``run`` is no further than ``state``; None where its latest job did not end for want of memory."""
    job = starved.get(("evaluate" if state == "trained" else "train", run))
    return job.reason if job is not None and job.last else None


def memory_to_ask(asked_mb: int, starved: Starved | None) -> int:
    """Megabytes for the next job of a run that asks for ``asked_mb`` at first: as much more for each that starved.

    Not for each attempt: one that ran out of time goes on at its checkpoint, and needs no more than before.
    """
    return asked_mb * min(MOST, 1 + (starved.times if starved is not None else 0))


def _date(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # deleted meanwhile
        return 0


@cache
def _read(path: Path, date: int) -> _Log | None:
    """What the log of one job tells, as it was at ``date``; None of another rule's."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None
    job, scale, had = JOB.search(text), SCALE.search(text), HAD.search(text)
    if job is None or scale is None:
        return None
    run = Run(job[2], int(job[3]))
    return _Log(scale[1], job[1], run, ENDED.search(text) is not None, int(had[1]) if had else None)
