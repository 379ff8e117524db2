"""What went wrong on the user's side, said in one sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input (a file, a key, a value): the message names it and its mend; the command exits with 2.

    A word without end, which somebody wrote where a name belongs, is cut.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(re.sub(r"([^\s';]{100})[^\s';]{300,}", r"\1…", sentence))


class Unprepared(UserError):
    """The data of a run are missing: whatever asks for them has not failed, it cannot begin yet."""


def install_command(*extras: str) -> str:
    """What installs what the package needs with ``extras``."""
    beside_torch = "--no-build-isolation " if "mmdet" in extras else ""  # else mmcv is built without its operators
    return f"pip install {beside_torch}" + (f"'fasa[{','.join(extras)}]'" if extras else "fasa")


def closest(name: object, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the known ones that are most like it, three at most."""
    found = difflib.get_close_matches(str(name), list(known), 3)
    return f"; closest: {', '.join(map(repr, found))}" if found else ""
