"""Numbers as a table prints them: means and spreads, differences and intervals, and the footnotes' letters."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fasa.reporting.cells import Cell, explain_missing
from fasa.reporting.comparison import NOTHING, Difference

if TYPE_CHECKING:
    from fasa.study.artifacts import Column

LEAST_DECIMALS = 2  # one more than most published means: a difference of 0.2 points must not drown in rounding


@dataclass(frozen=True)
class Entry:
    """One printed cell; ``mark`` is its footnote's letter or ""."""

    text: str
    mark: str = ""
    is_verdict: bool = False


@dataclass
class Notes:
    """Footnotes in order of first use; equal texts share a letter."""

    letters: dict[str, str] = field(default_factory=dict)

    def mark(self, text: str) -> str:
        """The letter of the footnote ``text``."""
        return self.letters.setdefault(text, _letter(len(self.letters)))

    def missing(self, cell: Cell) -> str:
        """The letter of what the cell lacks; "" where it is whole."""
        return self.mark(explain_missing(cell.missing)) if cell.missing else ""

    def pairs(self, cell: Cell) -> str:
        """The letter of how many seeds the cell's difference is over; "" where it is over all that the cell has."""
        if cell.difference is None or cell.difference.n == cell.ours.n:
            return ""
        return self.mark(f"over the {cell.difference.n} of {cell.ours.n} seeds that its baseline has too")


def published(cell: Cell) -> str:
    """A published value in the digits it was published with."""
    return number(cell.published, cell.published_std, cell.column.decimals, 2)


def reproduced(cell: Cell) -> str:
    """Our mean ± standard deviation."""
    return number(cell.ours.mean, cell.ours.std, decimals(cell.column), decimals(cell.column))


def published_difference(cell: Cell) -> str:
    """The published difference in the digits of the published values."""
    if cell.published_difference is None:
        return NOTHING
    return minus(f"{cell.published_difference:+.{cell.column.decimals}f}")


def difference(cell: Cell) -> str:
    """Our mean difference, without its interval."""
    return NOTHING if cell.difference is None else minus(f"{cell.difference.mean:+.{decimals(cell.column)}f}")


def interval(cell: Cell) -> str:
    """The 95 % interval of our difference; "" where there is none."""
    if not has_interval(cell.difference):
        return ""
    low, high = (f"{value:+.{decimals(cell.column)}f}" for value in (cell.difference.low, cell.difference.high))
    return minus(f"[{low}, {high}]")


def has_interval(difference: Difference | None) -> bool:
    """Whether a difference is over pairs enough for an interval."""
    return difference is not None and difference.low is not None


def decimals(column: Column) -> int:
    """Digits after the point of our figures in ``column``."""
    return max(LEAST_DECIMALS, column.decimals)


def number(mean: float | None, std: float | None, decimals: int, decimals_of_std: int) -> str:
    """A mean and, where there is one, its spread."""
    if mean is None:
        return NOTHING
    return minus(f"{mean:.{decimals}f}" + ("" if std is None else f" ± {std:.{decimals_of_std}f}"))


def minus(text: str) -> str:
    """Numbers with a real minus sign."""
    return text.replace("-", "−")


def _letter(index: int) -> str:
    """a … z, aa, ab, …"""
    prefix = _letter(index // 26 - 1) if index >= 26 else ""
    return prefix + string.ascii_lowercase[index % 26]
