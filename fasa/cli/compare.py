"""``fasa compare``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import nullcontext, redirect_stdout

from fasa.cli.common import Commands, add_command, add_seeds, console, study_of
from fasa.cli.train import exit_code
from fasa.errors import UserError
from fasa.study import Run, Study


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "compare", compare)
    command.add_argument("base", metavar="BASE", help="the recipe to compare with")
    command.add_argument("mine", metavar="MINE", help="the recipe whose gain is asked for")
    add_seeds(command)
    command.add_argument("--device", help="cpu, cuda, cuda:1, … (default: cuda where there is one)")
    command.add_argument("--json", action="store_true", help="print the comparison as JSON")


def compare(options: argparse.Namespace) -> int:
    """Train and measure what is missing of two recipes, and print their difference, paired by seed, beside controls."""
    from fasa.reporting import comparison, comparison_page

    study, names = study_of(options), (options.base, options.mine)
    if options.base == options.mine:
        raise UserError(f"'{options.mine}' is no other recipe than '{options.base}'; name two.")
    if study.task(options.base) is not study.task(options.mine):
        told = f"'{options.base}' is a {study.recipe(options.base).kind}, '{options.mine}' a "
        raise UserError(f"{told}{study.recipe(options.mine).kind}; compare two of one kind.")
    asked = options.seed or [seed for name in names for seed in study.seeds(name)]
    seeds = tuple(sorted(set(asked)))
    with redirect_stdout(sys.stderr) if options.json else nullcontext():
        if code := _complete(study, tuple(Run(name, seed) for name in names for seed in seeds), options.device):
            return code
    compared = comparison.compare(study, *names, seeds)
    if options.json:
        print(json.dumps(comparison.as_json(study, *names, seeds, compared), indent=2))
        return 0
    screen = console()
    screen.print(comparison_page.table(study, *names, compared))
    screen.print(comparison_page.remark(study, *names, compared), soft_wrap=True)
    return 0


def _complete(study: Study, runs: tuple[Run, ...], device: str | None) -> int:
    """Prepare, train and measure what is missing of ``runs``; 0, or the exit code where one failed."""
    task = study.task(runs[0].recipe)
    unmeasured = [run for run in runs if study.state(run.recipe, run.seed) != "done"]
    jobs = [study.job(run) for run in study.with_needed(tuple(unmeasured))]
    jobs = [job for job in jobs if not (job.weights.exists() and _is_trained(study, job.run))]
    for job in jobs:
        if not job.data.exists():
            print(task.prepare(study.root, job.recipe, None))
        if job.first_weights is not None and not job.first_weights.exists():
            print(task.provide_first_weights(job))
    if jobs and (code := exit_code(task.train(jobs, device))):
        return code
    if unmeasured:
        from rich.progress import Progress

        with Progress(disable=not sys.stdout.isatty()) as progress:
            for run in progress.track(unmeasured, description="measuring"):
                task.evaluate(study.job(run), device, time.monotonic())
    return 0


def _is_trained(study: Study, run: Run) -> bool:
    return study.state(run.recipe, run.seed) in ("done", "trained")
