"""``fasa train``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping

from fasa.cli.common import Commands, add_command, add_runs, jobs_by_task, study_of
from fasa.errors import UserError
from fasa.study import Run


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "train", train)
    add_runs(command)
    command.add_argument("--dump-config", action="store_true", help="print a detector's MMDetection config instead")


def train(options: argparse.Namespace) -> int:
    """Train runs, classifiers side by side; a killed training goes on where it was."""
    by_task = jobs_by_task(study_of(options), options)
    if options.dump_config:
        jobs = [job for jobs in by_task.values() for job in jobs]
        if len(jobs) != 1:
            raise UserError("--dump-config prints the MMDetection config of one detector with one --seed; name those.")
        print(next(iter(by_task)).dump_config(jobs[0]))
        return 0
    check_device(options, len(by_task))
    failures: dict[Run, Exception] = {}
    for task, jobs in by_task.items():
        failures |= task.train(jobs, options.device)
    return exit_code(failures)


def exit_code(failures: Mapping[Run, Exception]) -> int:
    """Tell the user's mistakes: 0 without a failure, 2 of mistakes alone, 1 where a bug of ours is among them."""
    mistakes = [error for error in failures.values() if isinstance(error, UserError)]
    for message, runs in Counter(map(str, mistakes)).items():
        print(f"fasa: {message}{f' ({runs} runs)' if runs > 1 else ''}", file=sys.stderr)
    return 0 if not failures else 2 if len(mistakes) == len(failures) else 1


def check_device(options: argparse.Namespace, tasks: int) -> None:
    """A device is chosen for one task: choosing it can hide all others from this process."""
    if options.device and tasks > 1:
        raise UserError("--device is for classifiers or for detectors; name them in two commands.")
