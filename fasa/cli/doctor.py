"""``fasa doctor``."""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from fasa.cli.common import Commands, add_command, console, study_of


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "doctor", doctor)
    command.add_argument("names", nargs="*", metavar="NAME", help="tables, figures, recipes (default: all)")
    command.add_argument("--json", action="store_true", help="print the findings as JSON")


def doctor(options: argparse.Namespace) -> int:
    """What is missing here (packages, data, GPUs, Slurm, disk), and the command that mends it; exit code 1 if any."""
    from fasa.doctor import examine, screen

    study, terminal = study_of(options), console()
    with terminal.status("looking …") if terminal.is_terminal and not options.json else nullcontext():
        sections = examine(study, options.names)
    if options.json:
        print(screen.as_json(sections, study.scale.name, options.names))
    else:
        what = ", ".join(options.names) or "everything"
        screen.show(sections, f"fasa doctor: {what} at scale {study.scale.name}", terminal)
    return 1 if screen.states(sections)["missing"] else 0
