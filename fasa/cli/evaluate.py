"""``fasa evaluate``."""

from __future__ import annotations

import argparse
import time

from fasa.cli.common import Commands, add_command, add_runs, jobs_by_task, study_of
from fasa.cli.train import check_device


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "evaluate", evaluate)
    add_runs(command)
    command.add_argument("--verify", action="store_true", help="compare detectors' figures with the official tools'")


def evaluate(options: argparse.Namespace) -> int:
    """Measure trained runs and write their metrics.json; detectors' figures beside the official tools' if asked."""
    started = time.monotonic()  # of the first run, with the loading of torch: in the workflow it is the only one
    by_task = jobs_by_task(study_of(options), options)
    check_device(options, len(by_task))
    differ = 0
    for task, jobs in by_task.items():
        for job in jobs:
            print(task.evaluate(job, options.device, started))
            started = time.monotonic()
            differ += task.verify(job) if options.verify else 0
    return 1 if differ else 0
