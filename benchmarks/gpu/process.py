"""Running parts one after the other, each in a process of its own, none beyond its time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from benchmarks.gpu.here import ROOT
from benchmarks.gpu.lines import Lines
from benchmarks.gpu.plan import Part

GRACE = 12.0  # seconds from SIGTERM to SIGKILL: a training ends its epoch and saves
POLL = 0.1


class Signals:
    """SIGTERM and Ctrl-C: noted, and handed on to the part that runs."""

    def __init__(self) -> None:
        self.told = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.told = number


def run(part: Part, out: Path, scale: str, rehearse: bool, seconds: float, signals: Signals) -> None:
    """Run ``part`` for at most ``seconds``, its words into ``out/logs``, and write how it ended."""
    lines = Lines(out)
    lines.add(part.name, begun=round(time.time()))
    log = log_of(part, out)
    log.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu.child", str(out), scale, part.name, part.work, *part.arguments]
    started = time.monotonic()
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command + ["--rehearse"] * rehearse,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches it through us alone
        )
        stopped = _wait(process, started + seconds, signals)
    took = time.monotonic() - started
    code = process.returncode
    if stopped and code and not (part.resumes or signals.told):
        lines.add(part.name, failed=f"it was stopped after {took:.0f} s; see {log.relative_to(out)}.")
    elif code and not stopped and not lines.failures(part.name):
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with the exit code {code}"
        lines.add(part.name, failed=f"it {how}; see {log.relative_to(out)}.")
    lines.add(part.name, ended=code, seconds=round(took, 1))


def log_of(part: Part, out: Path) -> Path:
    """Where the words of a part go."""
    return out / "logs" / (re.sub(r"\W+", "_", part.name) + ".log")


def _wait(process: subprocess.Popen, deadline: float, signals: Signals) -> bool:
    """Wait for a process to end; whether it was told to, by a signal to us or at ``deadline``."""
    killed_at = None
    while process.poll() is None:
        now = time.monotonic()
        if killed_at is None and (signals.told or now >= deadline):
            process.terminate()
            killed_at = now + GRACE
        elif killed_at is not None and now >= killed_at:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
            process.wait()
        time.sleep(POLL)
    return killed_at is not None
