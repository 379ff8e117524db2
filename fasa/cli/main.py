"""The command line: its parser, put together from the commands, and how a mistake ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from fasa.errors import UserError

HOMES = {  # the modules of the commands, in the order of --help
    "plan": "fasa.cli.plan",
    "status": "fasa.cli.status",
    "doctor": "fasa.cli.doctor",
    "data": "fasa.cli.data",
    "pretrain": "fasa.cli.data",
    "train": "fasa.cli.train",
    "evaluate": "fasa.cli.evaluate",
    "compare": "fasa.cli.compare",
    "render": "fasa.cli.render",
    "findings": "fasa.cli.render",
    "bundle": "fasa.cli.bundle",
    "score": "fasa.evaluation.score.arguments",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; 0, 2 after a mistake of the user's, told in one sentence, or 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser(HOMES.get(arguments[0]) if arguments else None).parse_args(arguments)
    try:
        return options.command(options) or 0
    except UserError as error:
        print(f"fasa: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parser(home: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line, or of the commands of one module: the others' take time to import."""
    whole = argparse.ArgumentParser(prog="fasa", description="The reproduction of FASA (ICCV 2021), step by step.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for module in [home] if home else dict.fromkeys(HOMES.values()):
        import_module(module).add_to(commands)
    return whole
