"""How a table is laid out on a page: a block for each column, or, of many columns, levels and then differences.

Side by side, published and reproduced figures of two columns are as wide as a page; of more columns they stand below
one another, so that a block is as wide as the paper's own table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fasa.reporting import entries
from fasa.reporting.cells import Cell
from fasa.reporting.comparison import NOTHING
from fasa.reporting.entries import Entry, Notes, has_interval

if TYPE_CHECKING:
    from fasa.study.artifacts import Column, Row, Table

COMPARED = ("published", "reproduced", "n", "Δ published", "Δ ours [95 % CI]", "verdict")
OURS = ("reproduced", "n", "Δ ours [95 % CI]")
MOST_SIDE_BY_SIDE = 2  # columns of a table that has a block for each

Cells = dict[tuple[str, str], Cell]


@dataclass(frozen=True)
class Line:
    """One printed line: ``kind`` says of what ("reproduced, n = 3"), and is empty where the columns say it."""

    kind: Entry
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class BlockRow:
    """The lines of one row of the table; ``control`` rows stand below a rule."""

    group: str
    label: str
    control: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Block:
    """One printed grid: its columns and, row by row, its lines."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[BlockRow, ...]

    @property
    def grouped(self) -> bool:
        """Whether any row has a group, so that its column is printed."""
        return any(row.group for row in self.rows)

    @property
    def kinds(self) -> bool:
        """Whether the lines say what they are of, so that this column is printed."""
        return any(line.kind.text for row in self.rows for line in row.lines)

    @property
    def labels(self) -> int:
        """Columns that stand before the figures."""
        return 1 + self.grouped + self.kinds

    @property
    def marks(self) -> frozenset[str]:
        """The footnotes that the block refers to."""
        lines = [line for row in self.rows for line in row.lines]
        return frozenset(entry.mark for line in lines for entry in (line.kind, *line.entries))

    def shown_groups(self) -> tuple[str, ...]:
        """The group to print with each row: empty where it repeats the row above."""
        above = [("", False), *((row.group, row.control) for row in self.rows)]
        return tuple(
            "" if (row.group, row.control) == previous else row.group
            for row, previous in zip(self.rows, above, strict=False)
        )


def build_blocks(table: Table, cells: Cells, notes: Notes) -> tuple[Block, ...]:
    """The blocks of ``table``, controls last; what is missing gets its footnote in ``notes``."""
    rows = sorted(table.rows, key=lambda row: row.control)  # stable: only the controls move
    if len(table.columns) <= MOST_SIDE_BY_SIDE:
        return tuple(_of_column(column, table, rows, cells, notes) for column in table.columns)
    blocks = []
    for group in dict.fromkeys(column.group for column in table.columns):
        columns = [column for column in table.columns if column.group == group]
        blocks.append(_levels(group, columns, rows, cells, notes))
        compared = [row for row in rows if row.baseline is not None]
        if compared:
            blocks.append(_differences(group, columns, compared, cells, notes))
    return tuple(blocks)


def _of_column(column: Column, table: Table, rows: list[Row], cells: Cells, notes: Notes) -> Block:
    compared = any(column.published in row.published for row in table.rows)

    def line(row: Row) -> Line:
        cell = cells[row.id, column.key]
        mark = notes.missing(cell)
        # The letter stands where the gap shows: at the dash of an empty row, at the n of an incomplete one.
        ours = Entry(entries.reproduced(cell), "" if cell.ours.n else mark)
        count = Entry(str(cell.ours.n), mark) if cell.ours.n else Entry(NOTHING)
        change = Entry(f"{entries.difference(cell)} {entries.interval(cell)}".strip(), notes.pairs(cell))
        if not compared:
            return Line(Entry(""), (ours, count, change))
        published, step = Entry(entries.published(cell)), Entry(entries.published_difference(cell))
        return Line(Entry(""), (published, ours, count, step, change, Entry(cell.verdict, "", True)))

    return Block(
        heading=_with_unit(column.label, column.unit),
        columns=COMPARED if compared else OURS,
        rows=tuple(BlockRow(row.group, row.label, row.control, (line(row),)) for row in rows),
    )


def _levels(group: str, columns: list[Column], rows: list[Row], cells: Cells, notes: Notes) -> Block:
    """Published and reproduced values; a verdict where a row has no baseline and is judged by its level."""

    def lines(row: Row) -> Iterable[Line]:
        own = [cells[row.id, column.key] for column in columns]
        if any(cell.published is not None for cell in own):
            yield _line("published", own, entries.published)
        kind = "reproduced" + _count(cell.ours.n for cell in own)
        marks = [notes.missing(cell) for cell in own]
        shared = marks[0] if len(set(marks)) == 1 else ""  # the whole row lacks the same: said once
        ours = tuple(
            Entry(entries.reproduced(cell), "" if shared else mark) for cell, mark in zip(own, marks, strict=True)
        )
        yield Line(Entry(kind, shared), ours)
        if row.baseline is None:
            yield from _verdicts(own)

    return _block(group or "Values", columns, rows, lines)


def _differences(group: str, columns: list[Column], rows: list[Row], cells: Cells, notes: Notes) -> Block:
    """Published and own differences of each row from its baseline, the own ones' intervals, and the verdicts."""

    def lines(row: Row) -> Iterable[Line]:
        own = [cells[row.id, column.key] for column in columns]
        if any(cell.published_difference is not None for cell in own):
            yield _line("published", own, entries.published_difference)
        kind = "reproduced" + _count(cell.difference.n if cell.difference else 0 for cell in own)
        yield Line(Entry(kind), tuple(Entry(entries.difference(cell), notes.pairs(cell)) for cell in own))
        if any(has_interval(cell.difference) for cell in own):
            yield _line("95 % interval", own, lambda cell: entries.interval(cell) or NOTHING)
        yield from _verdicts(own)

    heading = "Differences from the row's baseline"
    return _block(f"{group}: {heading[0].lower()}{heading[1:]}" if group else heading, columns, rows, lines)


def _block(heading: str, columns: list[Column], rows: list[Row], lines: Callable[[Row], Iterable[Line]]) -> Block:
    """A block of ``columns``: a unit that all have stands in its heading, others beside each name."""
    units = {column.unit for column in columns}
    return Block(
        heading=_with_unit(heading, units.pop()) if len(units) == 1 else heading,
        columns=tuple(_with_unit(column.label, column.unit) if units else column.label for column in columns),
        rows=tuple(BlockRow(row.group, row.label, row.control, tuple(lines(row))) for row in rows),
    )


def _line(kind: str, cells: list[Cell], text: Callable[[Cell], str]) -> Line:
    return Line(Entry(kind), tuple(Entry(text(cell)) for cell in cells))


def _verdicts(cells: list[Cell]) -> Iterable[Line]:
    if any(cell.verdict != NOTHING for cell in cells):
        yield Line(Entry("verdict"), tuple(Entry(cell.verdict, "", True) for cell in cells))


def _count(counts: Iterable[int]) -> str:
    """How many seeds the fullest cell of a line has."""
    most = max(counts)
    return f", n = {most}" if most else ""


def _with_unit(text: str, unit: str) -> str:
    return f"{text} ({unit})" if unit else text
