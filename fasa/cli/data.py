"""``fasa data`` and ``fasa pretrain``: what must be there before a training."""

from __future__ import annotations

import argparse
from pathlib import Path

from fasa.cli.common import Commands, add_command, study_of
from fasa.study import Run


def add_to(commands: Commands) -> None:
    """Add the commands."""
    command = add_command(commands, "data", data)
    command.add_argument("recipe", metavar="RECIPE", help="the recipe whose data to prepare")
    command.add_argument("--source", type=Path, help="archive or folder that is here already, instead of a download")
    command.add_argument("--check", action="store_true", help="only list all that is wrong with LVIS's or COCO's files")
    command = add_command(commands, "pretrain", pretrain)
    command.add_argument("recipe", metavar="RECIPE", help="a detector's recipe")


def data(options: argparse.Namespace) -> int:
    """Prepare the data of a recipe: download, read or generate, cut the long tail, pack; or check official files."""
    study = study_of(options)
    task, recipe = study.task(options.recipe), study.recipe(options.recipe)
    if options.check:
        facts, problems = task.check(study.root, recipe, options.source)
        print(*facts, *problems, sep="\n")
        return 2 if problems else 0
    there = study.data_path(options.recipe).exists()
    destination = task.prepare(study.root, recipe, options.source)
    print(f"{destination} is there already." if there else destination)
    return 0


def pretrain(options: argparse.Namespace) -> None:
    """Provide what a detector's backbone starts from: ImageNet's weights, or some made of glyphs that no scene has."""
    study = study_of(options)
    print(study.task(options.recipe).provide_first_weights(study.job(Run(options.recipe, 0))))
