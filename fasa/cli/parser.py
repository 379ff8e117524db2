"""The parser of ``fasa`` and of each of its commands: a mistake is one sentence, and a list ends where it must."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Any, NoReturn

from fasa.errors import UserError, closest

NUMBER = re.compile(r"-?\d+")


class Parser(argparse.ArgumentParser):
    """Of an option that is given several times (``append``), the words behind it that fit it belong to it, too.

    So ``--protocol fixed pool FILE`` and ``--seed 0 1 RECIPE`` leave FILE and RECIPE alone, wherever they stand.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        return super().parse_known_args(self._one_word_each(args or ()), namespace)

    def _one_word_each(self, words: Sequence[str]) -> list[str]:
        lists = {
            flag: action
            for action in self._actions
            if isinstance(action, argparse._AppendAction)
            for flag in action.option_strings
        }
        given: list[str] = []
        flag = ""  # of the list that goes on
        for before, word in zip(("", *words), words, strict=False):
            if word in lists:
                flag = word
            elif flag and before != flag and not _fits(lists[flag], word):
                flag = ""
            given += [flag, word] if flag and word != flag and before != flag else [word]
        return given

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (--\S+)", message)
        near = closest(unknown[1], {flag for one in actions(self) for flag in one.option_strings}) if unknown else ""
        raise UserError(f"{message}{near}; see {self.prog} --help.")


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """All arguments and options of a parser and of its commands."""
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found += actions(command)
    return found


def _fits(action: argparse.Action, word: str) -> bool:
    return word in action.choices if action.choices else bool(NUMBER.fullmatch(word))


def inside(folder: Path | None) -> chdir[Path] | nullcontext[None]:
    """The folder that ``-C`` names, entered; nothing where it names none.

    Raises:
        UserError: there is no such folder.
    """
    if folder is None:
        return nullcontext()
    if not folder.is_dir():
        raise UserError(f"-C: there is no folder {folder}; make it, or name another.")
    return chdir(folder)
