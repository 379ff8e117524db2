"""The command line: its parser, put together from the commands, and how a mistake ends."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import fasa
from fasa.cli.completion import SHELLS, PrintCompletion
from fasa.cli.parser import Parser, inside
from fasa.errors import UserError, closest, install_command

HOMES = {  # the modules of the commands, in the order of --help
    "plan": "fasa.cli.plan",
    "status": "fasa.cli.status",
    "doctor": "fasa.cli.doctor",
    "verify": "fasa.cli.verify",
    "data": "fasa.cli.data",
    "pretrain": "fasa.cli.data",
    "train": "fasa.cli.train",
    "evaluate": "fasa.cli.evaluate",
    "compare": "fasa.cli.compare",
    "render": "fasa.cli.render",
    "findings": "fasa.cli.render",
    "bundle": "fasa.cli.bundle",
    "unbundle": "fasa.cli.bundle",
    "score": "fasa.evaluation.score.arguments",
}
CLOSED = 141  # the exit code where nobody reads the output any more, as a shell has it
EXTRAS = {  # which door of pyproject.toml brings a module that may be absent
    "repro": ("jinja2", "matplotlib", "pandas", "scipy", "snakemake"),
    "mmdet": ("cv2", "instaboostfast", "lvis", "mmcv", "mmdet", "mmengine"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; 0, 2 after a mistake of the user's, told in one sentence, 130 after Ctrl-C, or 141."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser(_home(arguments)).parse_args(arguments)
        with inside(options.folder):
            code = options.command(options) or 0
            sys.stdout.flush()
            return code
    except UserError as error:
        print(f"fasa: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        lacking = (error.name or "").partition(".")[0]
        extra = next((extra for extra, modules in EXTRAS.items() if lacking in modules), None)
        if extra is None:
            raise
        print(f"fasa: this needs {lacking}, which is not installed: {install_command(extra)}.", file=sys.stderr)
        return 2
    except BrokenPipeError:  # head, or less, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own flush at the end
        return CLOSED
    except KeyboardInterrupt:
        return 130


def parser(home: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line, or of the commands of one module: the others' take time to import."""
    whole = Parser(prog="fasa", description="FASA (ICCV 2021): plan, train and measure its paper, or score results.")
    whole.add_argument("--version", action="version", version=f"fasa {fasa.__version__}")
    whole.add_argument("--print-completion", action=PrintCompletion, choices=SHELLS, help="a script for your shell")
    add_folder(whole, None)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for module in [home] if home else dict.fromkeys(HOMES.values()):
        import_module(module).add_to(commands)
    for command in dict.fromkeys(commands.choices.values()):
        add_folder(command, argparse.SUPPRESS)
    return whole


def add_folder(command: argparse.ArgumentParser, default: str | None) -> None:
    """The option ``-C``, before or after a command's name."""
    told = "as if started there: a study's configs/ and results"
    command.add_argument("-C", dest="folder", metavar="DIR", type=Path, default=default, help=told)


def _home(arguments: Sequence[str]) -> str | None:
    """The module of the command that a command line names; None of one without a command.

    Raises:
        UserError: there is no such command.
    """
    rest = iter(arguments)
    for word in rest:
        if word in ("-C", "--print-completion"):
            next(rest, None)
        elif not word.startswith("-"):
            if word not in HOMES:
                raise UserError(f"there is no command '{word}'{closest(word, HOMES)}; all are in fasa --help.")
            return HOMES[word]
    return None
