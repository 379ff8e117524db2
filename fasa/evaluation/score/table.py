"""A table of figures, a row each, with a column for each file and its difference from the first; never cut off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

ABSENT = "—"
HEADING_WIDTHS = (60, 40, 30, 24, 20, 16, 12)  # tried in turn: characters of a file's name to a line
Range = tuple[float, float]


@dataclass(frozen=True)
class Cell:
    """A figure of one file, shown with ``decimals``; its intervals are low and high ends, in its unit."""

    value: float | None
    decimals: int = 2
    interval: Range | None = None
    difference_interval: Range | None = None


@dataclass(frozen=True)
class Row:
    """A figure of all files; a cell that is None stays empty; without cells, a heading."""

    name: str
    cells: Sequence[Cell | None] = ()


def print_table(console: Console, rows: Sequence[Row], labels: Sequence[str], differences: bool = True) -> None:
    """Print ``rows``; where the columns of all files do not fit side by side, in several tables below each other."""

    def table(places: Sequence[int], width: int) -> Table:
        return _table(rows, labels, places, width, differences)

    everyone = range(len(labels))
    for width in HEADING_WIDTHS:
        if _fits(console, table(everyone, width)):
            console.print(table(everyone, width))
            return
    some: list[int] = []
    for place in everyone:
        if some and not _fits(console, table([*some, place], width)):
            console.print(table(some, width))
            some = []
        some.append(place)
    console.print(table(some, width))


def _fits(console: Console, table: Table) -> bool:
    return console.measure(table, options=console.options.update(width=10_000)).maximum <= console.width


def _table(
    rows: Sequence[Row], labels: Sequence[str], places: Sequence[int], heading_width: int, differences: bool
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for place in places:
        table.add_column(_fold(labels[place], heading_width), justify="right", overflow="fold")
        if place and differences:
            table.add_column("difference", justify="right", overflow="fold")
    for row in rows:
        texts = []
        for place in places if row.cells else ():
            cell, first = row.cells[place], row.cells[0]
            texts.append(cell_text(cell))
            if place and differences:
                texts.append(difference_text(cell, first))
        table.add_row(row.name, *texts, style=None if row.cells else "bold")
    return table


def cell_text(cell: Cell | None) -> str:
    """The figure with its interval; nothing for no cell."""
    return _text(cell.value, cell.interval, cell.decimals) if cell else ""


def difference_text(cell: Cell | None, first: Cell | None) -> str:
    """How far ``cell`` is above ``first``, with the interval of that."""
    if cell is None or first is None:
        return ""
    gap = None if cell.value is None or first.value is None else cell.value - first.value
    return _text(gap, cell.difference_interval, cell.decimals, sign="+")


def _text(value: float | None, interval: Range | None, decimals: int, sign: str = "") -> str:
    if value is None:
        return ABSENT
    shape = f"{sign},.{decimals}f"
    text = format(value, shape) if value else format(0.0, f".{decimals}f")
    if interval is None:
        return text
    low, high = (format(end, shape) for end in interval)
    return f"{text} [{low}, {high}]"


def _fold(name: str, width: int) -> str:
    """``name`` in lines of at most ``width`` characters, broken after one of ``_-./ `` where it can be."""
    lines = [""]
    for piece in re.findall(r"[^_\-./ ]*[_\-./ ]|[^_\-./ ]+", name):
        if len(lines[-1]) + len(piece) <= width:
            lines[-1] += piece
            continue
        cut = [piece[i : i + width] for i in range(0, len(piece), width)]
        lines += cut
    return "\n".join(line for line in lines if line)
