"""``fasa bundle``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fasa.cli.common import Commands, add_command, study_of


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "bundle", bundle)
    command.add_argument("--output", type=Path, metavar="FILE", help="the file to write (default: SCALE.fasa.zip)")
    command.add_argument("--weights", action="store_true", help="pack the weights of each run, too")


def bundle(options: argparse.Namespace) -> None:
    """Pack a scale's finished runs and configs into one file with checksums; ``fasa render --from FILE`` remakes every
    table, figure and finding from it."""
    from fasa.study.bundle import pack

    study = study_of(options)
    path = options.output or Path(f"{study.scale.name}.fasa.zip")
    runs = pack(study, path, options.weights)
    print(f"{path}: {runs} runs, {path.stat().st_size / 1e6:.1f} MB")
