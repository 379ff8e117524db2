"""How a table is printed: blocks of rows, footnotes and remarks, the same for LaTeX, Markdown and HTML.

Side by side, published and reproduced figures of two columns are as wide as a page. Of more columns they stand below
one another, levels first and then differences, so that a block is as wide as the paper's own table.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fasa.reporting.best import best
from fasa.reporting.cells import NOTHING, Difference, MeasuredTable, TableCell
from fasa.reporting.remarks import remarks

if TYPE_CHECKING:
    from fasa.study.artifacts import Column, Row

    Cells = list[tuple[Row, list[TableCell]]]  # row by row, its cells in some columns

PUBLISHED, REPRODUCED = "published", "reproduced"
COMPARED = (PUBLISHED, REPRODUCED, "n", "Δ published", "Δ ours [95 % CI]", "verdict")
OURS = (REPRODUCED, "n", "Δ ours [95 % CI]")
MOST_SIDE_BY_SIDE = 2  # columns of a table that has a block for each
LEAST_DECIMALS = 2  # one more than most published means: a difference of 0.2 points must not drown in rounding


@dataclass(frozen=True)
class PrintedCell:
    """What stands in one place; ``mark`` is its footnote's letter or "", ``best`` says it is bold."""

    text: str
    mark: str = ""
    is_verdict: bool = False
    best: bool = False


@dataclass(frozen=True)
class Line:
    """One printed line: ``kind`` says of what ("reproduced, n = 3"), and is empty where the columns say it."""

    kind: PrintedCell
    cells: tuple[PrintedCell, ...]


@dataclass(frozen=True)
class PrintedRow:
    """The lines of one row: ``group`` is empty where it repeats, and the first control ``opens_controls``."""

    group: str
    label: str
    opens_controls: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Block:
    """One printed grid: its columns and, row by row, its lines."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[PrintedRow, ...]

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
        return frozenset(cell.mark for row in self.rows for line in self.lines(row) for cell in line)

    def lines(self, row: PrintedRow) -> Iterator[tuple[PrintedCell, ...]]:
        """The lines of ``row`` from left to right: the labels, in its first line only, the kind, the cells."""
        for index, line in enumerate(row.lines):
            labels = (*[row.group] * self.grouped, row.label)
            kind = [line.kind] * self.kinds
            yield (*(PrintedCell("" if index else label) for label in labels), *kind, *line.cells)


@dataclass(frozen=True)
class PrintedTable:
    """A whole printed table: ``notes`` are (letter, text) pairs, ``remarks`` hold for every row."""

    name: str
    title: str
    published_as: str
    caption: str
    blocks: tuple[Block, ...]
    notes: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]

    @property
    def heading(self) -> str:
        """Its title and where the paper has it."""
        return f"{self.title} — {self.published_as}"


def lay_out(measured: MeasuredTable) -> PrintedTable:
    """Print a table: controls last, "—" with a footnote wherever a run is missing."""
    table, notes = measured.table, _Footnotes()
    rows = sorted(table.rows, key=lambda row: row.control)  # stable: only the controls move

    def cells(columns: list[Column], rows: list[Row] = rows) -> Cells:
        return [(row, [measured.cells[row.id, column.key] for column in columns]) for row in rows]

    blocks = []
    if len(table.columns) <= MOST_SIDE_BY_SIDE:
        blocks = [_of_column(column, cells([column]), notes) for column in table.columns]
    else:
        for group in dict.fromkeys(column.group for column in table.columns):
            columns = [column for column in table.columns if column.group == group]
            blocks.append(_levels(group, columns, cells(columns), notes))
            compared = [row for row in rows if row.baseline is not None]
            if compared:
                blocks.append(_differences(group, columns, cells(columns, compared), notes))
    return PrintedTable(
        name=table.name,
        title=table.title,
        published_as=table.published_as,
        caption=_caption(measured),
        blocks=tuple(blocks),
        notes=tuple((letter, text) for text, letter in notes.letters.items()),
        remarks=remarks(measured),
    )


def _caption(measured: MeasuredTable) -> str:
    """The paper's caption, and where nothing was measured on its data, on which it was."""
    table, used = measured.table, measured.datasets
    if not table.dataset or not used or table.dataset in used:
        return table.caption
    return f"{table.caption} Reproduced on {', '.join(used)}, scale {measured.scale.name}.".lstrip()


def number(mean: float | None, std: float | None, decimals: int, decimals_of_std: int) -> str:
    """A mean and, where there is one, its spread."""
    if mean is None:
        return NOTHING
    return minus(f"{mean:.{decimals}f}" + ("" if std is None else f" ± {std:.{decimals_of_std}f}"))


def signed(value: float | None, decimals: int) -> str:
    """A difference with its sign."""
    return NOTHING if value is None else minus(f"{value:+.{decimals}f}")


def interval(difference: Difference | None, decimals: int) -> str:
    """The 95 % interval of a difference; "" where there is none."""
    if difference is None or difference.low is None:
        return ""
    return f"[{signed(difference.low, decimals)}, {signed(difference.high, decimals)}]"


def decimals(column: Column) -> int:
    """Digits after the point of our figures in ``column``; published ones keep those that they were published with."""
    return max(LEAST_DECIMALS, column.decimals)


def minus(text: str) -> str:
    """Numbers with a real minus sign."""
    return text.replace("-", "−")


@dataclass
class _Footnotes:
    """Footnotes in order of first use; equal texts share a letter."""

    letters: dict[str, str] = field(default_factory=dict)

    def mark(self, text: str) -> str:
        return self.letters.setdefault(text, _letter(len(self.letters)))

    def missing(self, cell: TableCell) -> str:
        """The letter of what the cell lacks; "" where it is whole."""
        return self.mark(cell.missing) if cell.missing else ""

    def pairs(self, cell: TableCell) -> str:
        """The letter of how many seeds the cell's difference is over; "" where it is over all that the cell has."""
        if cell.difference is None or cell.difference.n == cell.ours.n:
            return ""
        return self.mark(f"over the {cell.difference.n} of {cell.ours.n} seeds that its baseline has too")


def _of_column(column: Column, cells: Cells, notes: _Footnotes) -> Block:
    """Published and reproduced side by side; of a column that the paper does not have, ours alone."""
    published = any(column.published in row.published for row, _ in cells)
    leaders = _best(cells)

    def line(cell: TableCell) -> Line:
        mark = notes.missing(cell)
        # The letter stands where the gap shows: at the dash of an empty row, at the n of an incomplete one.
        ours = _level(cell, _reproduced, REPRODUCED, leaders, "" if cell.ours.n else mark)
        count = PrintedCell(str(cell.ours.n), mark) if cell.ours.n else PrintedCell(NOTHING)
        change = PrintedCell(f"{_difference(cell)} {_interval(cell)}".strip(), notes.pairs(cell))
        if not published:
            return Line(PrintedCell(""), (ours, count, change))
        theirs, step = _level(cell, _published, PUBLISHED, leaders), PrintedCell(_published_difference(cell))
        return Line(PrintedCell(""), (theirs, ours, count, step, change, _verdict(cell)))

    return Block(
        heading=_with_unit(column.label, column.unit),
        columns=COMPARED if published else OURS,
        rows=_rows([(row, [line(cell)]) for row, (cell,) in cells]),
    )


def _levels(group: str, columns: list[Column], cells: Cells, notes: _Footnotes) -> Block:
    """Published and reproduced values; a verdict where a row has no baseline and is judged by its level."""
    leaders = _best(cells)

    def lines(row: Row, own: list[TableCell]) -> Iterator[Line]:
        if any(cell.published is not None for cell in own):
            yield Line(PrintedCell(PUBLISHED), tuple(_level(cell, _published, PUBLISHED, leaders) for cell in own))
        marks = [notes.missing(cell) for cell in own]
        shared = marks[0] if len(set(marks)) == 1 else ""  # the whole row lacks the same: said once
        ours = [
            _level(cell, _reproduced, REPRODUCED, leaders, "" if shared else mark)
            for cell, mark in zip(own, marks, strict=True)
        ]
        yield Line(PrintedCell(_over_seeds(cell.ours.n for cell in own), shared), tuple(ours))
        if row.baseline is None:
            yield from _verdicts(own)

    return _block(group or "Values", columns, [(row, lines(row, own)) for row, own in cells])


def _differences(group: str, columns: list[Column], cells: Cells, notes: _Footnotes) -> Block:
    """Published and own differences of each row from its baseline, the own ones' intervals, and the verdicts."""

    def lines(own: list[TableCell]) -> Iterator[Line]:
        if any(cell.published_difference is not None for cell in own):
            yield _line(PUBLISHED, own, _published_difference)
        kind = _over_seeds(cell.difference.n if cell.difference else 0 for cell in own)
        yield Line(PrintedCell(kind), tuple(PrintedCell(_difference(cell), notes.pairs(cell)) for cell in own))
        if any(map(_interval, own)):
            yield _line("95 % interval", own, lambda cell: _interval(cell) or NOTHING)
        yield from _verdicts(own)

    heading = f"{group}: differences from the row's baseline" if group else "Differences from the row's baseline"
    return _block(heading, columns, [(row, lines(own)) for row, own in cells])


def _block(heading: str, columns: list[Column], lines: list[tuple[Row, Iterable[Line]]]) -> Block:
    """A block of ``columns``: a unit that all have stands in its heading, others beside each name."""
    units = {column.unit for column in columns}
    shared = units.pop() if len(units) == 1 else ""
    names = tuple(_with_unit(column.label, column.unit) if units else column.label for column in columns)
    return Block(_with_unit(heading, shared), names, _rows(lines))


def _rows(lines: Iterable[tuple[Row, Iterable[Line]]]) -> tuple[PrintedRow, ...]:
    printed: list[PrintedRow] = []
    group, control = "", False  # of the row above
    for row, own in lines:
        repeats = (row.group, row.control) == (group, control)
        printed.append(PrintedRow("" if repeats else row.group, row.label, row.control and not control, tuple(own)))
        group, control = row.group, row.control
    return tuple(printed)


def _best(cells: Cells) -> set[tuple[str, str, str]]:
    """The best cells of each column, as (published or reproduced, row, column)."""
    found = set()
    for column in zip(*(own for _, own in cells), strict=True):
        digits = column[0].column.decimals
        for kind, means, shown in (
            (PUBLISHED, [cell.published for cell in column], digits),
            (REPRODUCED, [cell.ours.mean for cell in column], decimals(column[0].column)),
        ):
            marked = zip(column, best(column[0].column, means, shown), strict=True)
            found |= {(kind, cell.row.id, cell.column.key) for cell, is_best in marked if is_best}
    return found


def _level(
    cell: TableCell, text: Callable[[TableCell], str], kind: str, leaders: set[tuple[str, str, str]], mark: str = ""
) -> PrintedCell:
    return PrintedCell(text(cell), mark, best=(kind, cell.row.id, cell.column.key) in leaders)


def _line(kind: str, cells: list[TableCell], text: Callable[[TableCell], str]) -> Line:
    return Line(PrintedCell(kind), tuple(PrintedCell(text(cell)) for cell in cells))


def _verdicts(cells: list[TableCell]) -> Iterator[Line]:
    if any(cell.verdict != NOTHING for cell in cells):
        yield Line(PrintedCell("verdict"), tuple(map(_verdict, cells)))


def _verdict(cell: TableCell) -> PrintedCell:
    return PrintedCell(cell.verdict, is_verdict=True)


def _over_seeds(counts: Iterable[int]) -> str:
    """How many seeds the fullest cell of a line has."""
    most = max(counts)
    return f"{REPRODUCED}, n = {most}" if most else REPRODUCED


def _with_unit(text: str, unit: str) -> str:
    return f"{text} ({unit})" if unit else text


def _published(cell: TableCell) -> str:
    return number(cell.published, cell.published_std, cell.column.decimals, 2)


def _reproduced(cell: TableCell) -> str:
    return number(cell.ours.mean, cell.ours.std, decimals(cell.column), decimals(cell.column))


def _published_difference(cell: TableCell) -> str:
    return signed(cell.published_difference, cell.column.decimals)


def _difference(cell: TableCell) -> str:
    return signed(cell.difference.mean if cell.difference else None, decimals(cell.column))


def _interval(cell: TableCell) -> str:
    return interval(cell.difference, decimals(cell.column))


def _letter(index: int) -> str:
    """a … z, aa, ab, …"""
    prefix = _letter(index // 26 - 1) if index >= 26 else ""
    return prefix + string.ascii_lowercase[index % 26]
