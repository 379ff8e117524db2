"""A table as it is shown: headings, formatted cells, footnotes and remarks, the same for LaTeX, Markdown and HTML."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fasa.reporting import comparison
from fasa.reporting.cells import Cell, build_cells, datasets_used, explain_missing
from fasa.reporting.comparison import NOTHING, Difference

if TYPE_CHECKING:
    from fasa.experiments import Study
    from fasa.experiments.tables import Row, Table

DECIMALS = {"%": 2}  # one more than the published means: a difference of 0.2 points must not drown in rounding
OTHER_DECIMALS = 3
COMPARED = ("published", "reproduced", "n", "Δ published", "Δ ours [95 % CI]", "verdict")
OURS = ("reproduced", "n", "Δ ours [95 % CI]")


@dataclass(frozen=True)
class Entry:
    """One printed cell; ``mark`` is its footnote's letter or ""."""

    text: str
    mark: str = ""
    is_verdict: bool = False


@dataclass(frozen=True)
class Block:
    """The printed columns of one column of the table; ``entries`` run along the sheet's lines, then the columns."""

    heading: str
    columns: tuple[str, ...]
    entries: tuple[tuple[Entry, ...], ...]

    @property
    def marks(self) -> frozenset[str]:
        """The footnotes that the block refers to."""
        return frozenset(entry.mark for line in self.entries for entry in line)


@dataclass(frozen=True)
class Line:
    """The head of one printed row; ``control`` rows stand below a line."""

    group: str
    label: str
    control: bool


@dataclass(frozen=True)
class Sheet:
    """A whole printed table: ``notes`` are (letter, text) pairs, ``remarks`` hold for every row.

    Blocks are printed one below the other: side by side, two are wider than a page.
    """

    name: str
    heading: str
    caption: str
    blocks: tuple[Block, ...]
    lines: tuple[Line, ...]
    notes: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]

    @property
    def grouped(self) -> bool:
        """Whether any row has a group, so that its column is printed."""
        return any(line.group for line in self.lines)

    def shown_groups(self) -> tuple[str, ...]:
        """The group to print in each line: empty where it repeats the line above."""
        above = [("", False), *((line.group, line.control) for line in self.lines)]
        return tuple(
            "" if (line.group, line.control) == previous else line.group
            for line, previous in zip(self.lines, above, strict=False)
        )


@dataclass
class _Notes:
    """Footnotes in order of first use; equal texts share a letter."""

    letters: dict[str, str] = field(default_factory=dict)

    def mark(self, text: str) -> str:
        return self.letters.setdefault(text, _letter(len(self.letters)))


def build_sheet(study: Study, table: Table) -> Sheet:
    """Format ``table``: controls last, "—" with a footnote wherever a run is missing."""
    cells = {(cell.row.id, cell.column.key): cell for cell in build_cells(study, table)}
    rows = sorted(table.rows, key=lambda row: row.control)  # stable: only the controls move
    notes = _Notes()
    blocks = []
    for column in table.columns:
        compared = any(column.published in row.published for row in table.rows)
        blocks.append(
            Block(
                heading=f"{column.label} ({column.unit})" if column.unit else column.label,
                columns=COMPARED if compared else OURS,
                entries=tuple(_entries(cells[row.id, column.key], compared, study, notes) for row in rows),
            )
        )
    return Sheet(
        name=table.name,
        heading=f"{table.title} — {table.published_as}",
        caption=table.caption,
        blocks=tuple(blocks),
        lines=tuple(Line(row.group, row.label, row.control) for row in rows),
        notes=tuple((letter, text) for text, letter in notes.letters.items()),
        remarks=_remarks(study, table),
    )


def _entries(cell: Cell, compared: bool, study: Study, notes: _Notes) -> tuple[Entry, ...]:
    decimals = DECIMALS.get(cell.column.unit, OTHER_DECIMALS)
    mark = notes.mark(explain_missing(cell.missing)) if cell.missing else ""
    # The letter stands where the gap shows: at the dash of an empty row, at the n of an incomplete one.
    reproduced = Entry(_number(cell.ours.mean, cell.ours.std, decimals), "" if cell.ours.n else mark)
    count = Entry(str(cell.ours.n), mark) if cell.ours.n else Entry(NOTHING)
    difference = Entry(_difference(cell.difference, decimals), _pair_mark(cell, study, notes))
    if not compared:
        return (reproduced, count, difference)
    published = Entry(_published(cell.published, cell.published_std))
    return (published, reproduced, count, Entry(_published_difference(cell)), difference, Entry(cell.verdict, "", True))


def _pair_mark(cell: Cell, study: Study, notes: _Notes) -> str:
    if cell.difference is None or cell.difference.n == cell.ours.n:
        return ""
    return notes.mark(f"over the {cell.difference.n} of {len(study.scale.seeds)} seeds that its baseline has too")


def _number(mean: float | None, std: float | None, decimals: int) -> str:
    if mean is None:
        return NOTHING
    return _minus(f"{mean:.{decimals}f}" + ("" if std is None else f" ± {std:.{decimals}f}"))


def _published(mean: float | None, std: float | None) -> str:
    """A published value in the digits it was published with."""
    if mean is None:
        return NOTHING
    return _minus(f"{float(mean)}" + ("" if std is None else f" ± {float(std)}"))


def _published_difference(cell: Cell) -> str:
    if cell.published_difference is None or cell.published is None:
        return NOTHING
    return _minus(f"{cell.published_difference:+.{len(str(float(cell.published)).partition('.')[2])}f}")


def _difference(difference: Difference | None, decimals: int) -> str:
    if difference is None:
        return NOTHING
    text = f"{difference.mean:+.{decimals}f}"
    if difference.low is not None and difference.high is not None:
        text += f" [{difference.low:+.{decimals}f}, {difference.high:+.{decimals}f}]"
    return _minus(text)


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _letter(index: int) -> str:
    """a … z, aa, ab, …"""
    prefix = _letter(index // 26 - 1) if index >= 26 else ""
    return prefix + string.ascii_lowercase[index % 26]


def _remarks(study: Study, table: Table) -> tuple[str, ...]:
    """What holds for every row: the scale, the data, how to read the numbers."""
    used = datasets_used(study, table)
    remarks = [
        f"Scale {study.scale.name}: {study.scale.description.rstrip('.')}.",
        f"Published on {table.dataset}; reproduced on {', '.join(used)}."
        if used
        else f"Published on {table.dataset}; nothing is reproduced here, for no run of this scale exists yet.",
    ]
    if not study.scale.comparable:
        remarks.append(
            "Absolute numbers of this scale are not comparable with the published ones; a verdict compares only the "
            "sign of a difference."
        )
    remarks.append(
        "Reproduced: mean ± sample standard deviation over n seeds. Δ: difference from the row's own baseline; ours is "
        "paired by seed, with its 95 % confidence interval (Student's t; each row for itself, not corrected for the "
        "number of rows)."
    )
    baselines = _baselines(table)
    if baselines:
        remarks.append(f"Baselines: {baselines}.")
    verdicts = (
        f"Verdict: {comparison.CONFIRMED} = our interval lies on the published side of 0; {comparison.CONTRADICTED} = "
        f"on the other side; {comparison.UNDECIDED} = it holds 0, or there are fewer than two pairs; {NOTHING} = "
        "nothing to compare."
    )
    if study.scale.comparable and any(row.baseline is None and row.published for row in table.rows):
        verdicts += f" A row without a baseline is compared by its level, with a tolerance of {float(table.tolerance)}."
    return (*remarks, verdicts)


def _baselines(table: Table) -> str:
    """ "A for B · C; D for E", by the rows' labels (which may hold commas)."""
    labels = {row.id: _full_label(row, table) for row in table.rows}
    against: dict[str, list[str]] = {}
    for row in table.rows:
        if row.baseline is not None:
            against.setdefault(labels[row.baseline], []).append(labels[row.id])
    return "; ".join(f"{baseline} for {' · '.join(rows)}" for baseline, rows in against.items())


def _full_label(row: Row, table: Table) -> str:
    """The row's label, with its group where another row has the same label."""
    twins = sum(other.label == row.label for other in table.rows)
    return f"{row.label} ({row.group})" if twins > 1 and row.group else row.label
