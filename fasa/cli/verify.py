"""``fasa verify``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from fasa.cli.common import Commands, add_command, add_seeds, study_of

Faults = Callable[[], Iterator[str]]


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "verify", verify)
    add_seeds(command, named=False)
    command.add_argument(
        "names", nargs="*", metavar="NAME", help="tables, figures, files of 'fasa bundle' (default: all)"
    )


def verify(options: argparse.Namespace) -> int:
    """Check every byte that there is: data sets with their images, weights, checkpoints, measurements, bundles. A line
    for each file that is damaged, or another run's, with the command that mends it; exit code 2 if any. Changes
    nothing."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    console = Console(stderr=True)
    found = 0
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=None)

        def images(done: int, total: int) -> None:
            if done % 100 == 0 or done == total:
                progress.update(bar, description=f"{done:,} of {total:,} files")

        wanted = _wanted(options, images)
        for done, (what, faults) in enumerate(wanted.items()):
            progress.update(bar, description=what, completed=done, total=len(wanted))
            for fault in faults():
                print(fault, flush=True)
                found += 1
    print(f"{len(wanted)} runs, data sets, weights and bundles: " + (f"{found} faults." if found else "all whole."))
    return 2 if found else 0


def _wanted(options: argparse.Namespace, images: Callable[[int, int], None]) -> dict[str, Faults]:
    """What to look at, by its name."""
    from fasa.study import bundle
    from fasa.tasks.verification import data_faults, run_faults, weights_faults

    bundles = [Path(name) for name in options.names if name.endswith(".zip")]
    names = [name for name in options.names if not name.endswith(".zip")]
    found: dict[str, Faults] = {}
    if names or not bundles:
        study = study_of(options)
        jobs = [study.job(run) for run in study.every_run(names)]
        for job in jobs:
            if job.data.exists():
                found[str(job.data)] = partial(data_faults, job.data, images)
            if job.first_weights and job.first_weights.exists():
                mend = f"delete it, and: fasa pretrain {job.run.recipe} --scale {job.scale_name}"
                found[str(job.first_weights)] = partial(weights_faults, job.first_weights, mend)
            if job.work_dir.exists() or job.metrics.parent.exists():
                found[str(job)] = partial(run_faults, job)
        if not names:
            bundles = sorted(study.root.glob("*.fasa.zip"))
            if (study.root / bundle.MANIFEST).exists():
                found[bundle.MANIFEST] = partial(bundle.unpacked_faults, study.root)
    return found | {str(path): partial(bundle.faults, path) for path in bundles}
