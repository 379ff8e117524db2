"""What one run of one tool costs: CPU and wall seconds and peak memory of its whole process, imports included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Cost:
    """Of a process: CPU seconds over all its threads, wall seconds, the most memory that it held, in MB."""

    cpu: float
    wall: float
    peak: float


def measure(tool: str, kind: str, annotations: Path, detections: Path, cache: Path) -> tuple[Cost, Figures]:
    """Run ``tool`` once. This process stays small, for a child's peak begins with its parent's.

    Raises:
        SystemExit: the tool failed.
    """
    command = [sys.executable, "-m", "benchmarks.scoring.tools", tool, kind, str(annotations), str(detections)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"FASA_CACHE": str(cache)})
    output = process.stdout.read()  # type: ignore[union-attr]  # it is a pipe
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.stdout.close()  # type: ignore[union-attr]
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{tool} failed with exit code {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024), json.loads(output.splitlines()[-1])


def cheapest(costs: list[Cost]) -> Cost:
    """The least of each: what disturbs a run only adds to it."""
    return Cost(min(c.cpu for c in costs), min(c.wall for c in costs), min(c.peak for c in costs))
