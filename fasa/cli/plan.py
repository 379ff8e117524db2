"""``fasa plan``."""

from __future__ import annotations

import argparse
import os

from fasa.cli.common import Commands, add_command, add_seeds, console, study_of


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "plan", plan)
    command.add_argument("names", nargs="*", metavar="NAME", help="tables and figures (default: each, and all)")
    add_seeds(command)
    listed = command.add_mutually_exclusive_group()
    listed.add_argument("--runs", action="store_true", help="list every run")
    listed.add_argument("--recipes", action="store_true", help="list every recipe, and where the paper has it")


def plan(options: argparse.Namespace) -> None:
    """What runs take: GPUs, hours, memory and disk, by table and figure, with what they start from; or run by run."""
    from fasa.reporting.plan_page import by_recipe, by_run, by_table
    from fasa.study.cost import plans, run_plans

    study = study_of(options)
    names = options.names or list(study.default_artifacts())
    if options.recipes:
        console().print(by_recipe(study, names))
    elif options.runs:
        console().print(by_run(study, list(run_plans(study, names, options.seed).values())[-1]))
    else:
        console().print(by_table(study, plans(study, names, os.cpu_count() or 1, options.seed)))
    if study.unavailable and not options.names:
        print(f"Not at this scale: {', '.join(study.unavailable)}.")
    if not options.names and (apart := [name for name in study.artifacts() if name not in names]):
        print(f"Not with all, only by name: {', '.join(apart)}.")
