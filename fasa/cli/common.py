"""What commands have in common: options, the study they are about, the terminal."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasa.study import Run, Study, load_study
from fasa.study.loading import DEFAULT_SCALE
from fasa.study.study import MOST_SEEDS
from fasa.tasks.recipe import LAST_SEED
from fasa.tasks.task import Job, Task

if TYPE_CHECKING:
    from rich.console import Console

Commands = Any  # argparse's _SubParsersAction, which has no public name


def add_command(
    commands: Commands, name: str, function: Callable[[argparse.Namespace], int | None], scale: bool = True
) -> argparse.ArgumentParser:
    """A command, described by its function's docstring; ``scale`` gives it the option ``--scale``."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
    command.set_defaults(command=function)
    if scale:
        command.add_argument("--scale", default=DEFAULT_SCALE, metavar="SCALE", help="how large (default: %(default)s)")
    return command


def add_runs(command: argparse.ArgumentParser) -> None:
    """The options that name runs, and a device for them."""
    command.add_argument("recipes", nargs="+", metavar="RECIPE", help="a recipe of configs/recipes")
    add_seeds(command)
    command.add_argument("--device", help="cpu, cuda, cuda:1, … (default: cuda where there is one)")


def add_seeds(command: argparse.ArgumentParser, named: bool = True) -> None:
    """The option ``--seeds``, and in place of it ``--seed`` where seeds can be ``named`` one by one."""
    options = command.add_mutually_exclusive_group()
    if named:
        told = "one seed or more: --seed 0 1 2"
        options.add_argument("--seed", type=_seed, action="append", metavar="SEED", help=told)
    told = "the seeds 0 to N - 1 of every recipe (default: the scale's)"
    options.add_argument("--seeds", type=_seeds, metavar="N", help=told)


def _seeds(text: str) -> int:
    if not re.fullmatch(r"\d{1,10}", text) or not 1 <= int(text) <= MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"'{text[:20]}' is no number of seeds; name one from 1 to {MOST_SEEDS}")
    return int(text)


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,10}", text) or int(text) > LAST_SEED:
        raise argparse.ArgumentTypeError(f"'{text[:20]}' is no seed; seeds are whole numbers from 0 to {LAST_SEED:,}")
    return int(text)


def study_of(options: argparse.Namespace) -> Study:
    """The study of this folder at the scale, and with the seeds, that the options name."""
    return load_study(Path("."), options.scale, getattr(options, "seeds", None))


def jobs_by_task(study: Study, options: argparse.Namespace) -> dict[Task, list[Job]]:
    """The runs that the options name, by their task; a typo is refused before torch is loaded.

    Raises:
        UserError: there is no such recipe at this scale.
    """
    found: dict[Task, list[Job]] = {}
    for recipe in options.recipes:
        for seed in options.seed or study.seeds(recipe):
            found.setdefault(study.task(recipe), []).append(study.job(Run(recipe, seed)))
    return found


def console() -> Console:
    """As wide as the terminal; a pipe or a file has no width, so lines are kept whole enough to search."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)
