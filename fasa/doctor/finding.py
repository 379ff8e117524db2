"""What a look at one thing gives: a state, a sentence, and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    ``missing`` is what the chosen runs need and have not, ``warning`` what may spoil them, ``note`` what is good to
    know and stops nothing. ``mend`` is a command for a shell, or empty.
    """

    state: State
    what: str
    mend: str = ""


@dataclass(frozen=True)
class Section:
    """The findings under one heading."""

    title: str
    findings: tuple[Finding, ...]


def count(number: int, noun: str) -> str:
    """``3 runs``, ``1 run``, ``no run``."""
    return f"{number:,} {noun}s" if number > 1 else f"{number or 'no'} {noun}"
