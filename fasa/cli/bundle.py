"""``fasa bundle`` and ``fasa unbundle``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fasa.cli.common import Commands, add_command, add_seeds, study_of


def add_to(commands: Commands) -> None:
    """Add the commands."""
    command = add_command(commands, "bundle", bundle)
    add_seeds(command, named=False)
    command.add_argument("--output", type=Path, metavar="FILE", help="the file to write (default: SCALE.fasa.zip)")
    command.add_argument("--weights", action="store_true", help="pack the weights of each run, too")
    command = add_command(commands, "unbundle", unbundle, scale=False)
    command.add_argument("bundle", type=Path, metavar="BUNDLE", help="a file of 'fasa bundle'")


def bundle(options: argparse.Namespace) -> None:
    """Pack a scale's finished runs and configs into one file with checksums; ``fasa render --from FILE`` remakes every
    table, figure and finding from it."""
    from fasa.study.bundle import pack

    study = study_of(options)
    path = options.output or Path(f"{study.scale.name}.fasa.zip")
    runs = pack(study, path, options.weights)
    print(f"{path}: {runs} runs, {path.stat().st_size / 1e6:.1f} MB")


def unbundle(options: argparse.Namespace) -> None:
    """Put a bundle's runs among those of this folder's study, where it has none of its own by the same recipe: they
    count as done, so that only what is missing is trained."""
    from fasa.study.bundle import take

    study, taken, left = take(options.bundle)
    of = f"scale '{study.scale.name}'"
    print(f"{options.bundle}: {taken} runs of {of} taken, {left} left that are here or of other recipes")
