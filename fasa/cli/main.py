"""The command line: its parser, put together from the commands, and how a mistake ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fasa.cli import data, doctor, evaluate, plan, render, status, train
from fasa.errors import UserError
from fasa.evaluation.score.arguments import add_arguments as add_score_arguments

COMMANDS = (plan, status, doctor, data, train, evaluate, render)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; 0, 2 after a mistake of the user's, told in one sentence, or 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except UserError as error:
        print(f"fasa: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    whole = argparse.ArgumentParser(prog="fasa", description="The reproduction of FASA (ICCV 2021), step by step.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_to(commands)
    command = commands.add_parser("score", help=_score.__doc__, description=_score.__doc__)
    command.set_defaults(command=_score)
    add_score_arguments(command)
    return whole


def _score(options: argparse.Namespace) -> int:
    """Score LVIS or COCO results: AP, AP-Fixed, AP-Pool, TIDE, exactly as the official tools, in seconds."""
    from fasa.evaluation.score.command import score

    return score(options)
