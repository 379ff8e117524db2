"""``fasa status``."""

from __future__ import annotations

import argparse
import math

from fasa.cli.common import Commands, add_command, add_seeds, console, study_of
from fasa.errors import UserError

STATES = """\
states of a run:
  done      measured
  trained   its training has ended; not measured yet
  running   a process trains it now
  stopped   it has a checkpoint, and nobody trains it: the same command goes on
  stale     what is there was made by an older recipe
  failed    its last training ended with the error below
  missing   not begun
"""


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "status", status)
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = STATES
    add_seeds(command, named=False)
    command.add_argument("--watch", action="store_true", help="a live page, which results/SCALE/status.html shows, too")
    command.add_argument("--every", type=float, default=2, metavar="SECONDS", help="of --watch (default: %(default)s)")
    command.add_argument("--html", action="store_true", help="only write results/SCALE/status.html")


def status(options: argparse.Namespace) -> None:
    """What is done, running, failed and missing, by table and figure; or a live page of it until nothing is left."""
    from fasa.reporting import status_page, status_screen
    from fasa.study.status import Watch

    study, screen = study_of(options), console()
    if options.watch:
        if not 0 < options.every < math.inf:
            raise UserError("--every wants seconds above 0.")
        return status_screen.watch(study, options.every, screen)
    snapshot = Watch(study).look()
    if options.html:
        return print(status_page.write_status(study, snapshot))
    screen.print(status_screen.summary(snapshot))
    for line in status_screen.failures(snapshot):
        screen.print(line, soft_wrap=True)
