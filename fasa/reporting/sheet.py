"""A table as it is shown: its blocks, footnotes and remarks, the same for LaTeX, Markdown and HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fasa.reporting import comparison
from fasa.reporting.blocks import Block, build_blocks
from fasa.reporting.cells import build_cells, datasets_used
from fasa.reporting.comparison import NOTHING
from fasa.reporting.entries import Notes

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Row, Table

LISTED = 8  # rows of a table whose compared ones are named one by one


@dataclass(frozen=True)
class Sheet:
    """A whole printed table: ``notes`` are (letter, text) pairs, ``remarks`` hold for every row."""

    name: str
    heading: str
    caption: str
    blocks: tuple[Block, ...]
    notes: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]


def build_sheet(study: Study, table: Table) -> Sheet:
    """Format ``table``: controls last, "—" with a footnote wherever a run is missing."""
    cells = {(cell.row.id, cell.column.key): cell for cell in build_cells(study, table)}
    notes = Notes()
    blocks = build_blocks(table, cells, notes)
    return Sheet(
        name=table.name,
        heading=f"{table.title} — {table.published_as}",
        caption=table.caption,
        blocks=blocks,
        notes=tuple((letter, text) for text, letter in notes.letters.items()),
        remarks=_remarks(study, table),
    )


def _remarks(study: Study, table: Table) -> tuple[str, ...]:
    """What holds for every row: the scale, the data, how to read the numbers."""
    used = datasets_used(study, table)
    published = any(row.published for row in table.rows)
    source = f"Published on {table.dataset}; reproduced" if published else f"The recipes are of {table.dataset}; run"
    remarks = [table.note] if table.note else []
    remarks += [
        f"Scale {study.scale.name}: {study.description(table.rows[0].recipe).rstrip('.')}.",
        f"{source} on {', '.join(used)}."
        if used
        else f"Published on {table.dataset}; nothing is reproduced here, for no run of this scale exists yet."
        if published
        else "No run of this scale exists yet.",
    ]
    if published and not study.scale.comparable:
        remarks.append(
            "Absolute numbers of this scale are not comparable with the published ones; a verdict compares only the "
            "sign of a difference."
        )
    remarks.append(
        "Reproduced: mean ± sample standard deviation over n seeds. Differences (Δ) are from the row's own baseline; "
        "ours are paired by seed, with their 95 % confidence intervals (Student's t; each for itself, not corrected "
        "for their number)."
    )
    baselines = _baselines(table)
    if baselines:
        remarks.append(f"Baselines: {baselines}.")
    if not published:
        return tuple(remarks)
    verdicts = (
        f"Verdict: {comparison.CONFIRMED} = our interval lies on the published side of 0; {comparison.CONTRADICTED} = "
        f"on the other side; {comparison.UNDECIDED} = it holds 0, or there are fewer than two pairs; {NOTHING} = "
        "nothing to compare."
    )
    levels = any(row.baseline is None and row.published for row in table.rows)
    if study.scale.comparable and table.tolerance is not None and levels:
        verdicts += f" A row without a baseline is compared by its level, with a tolerance of {float(table.tolerance)}."
    return (*remarks, verdicts)


def _baselines(table: Table) -> str:
    """ "A for B · C (group); D for E", by the rows' labels (which may hold commas); or "A for every other row"."""
    rows = {row.id: row for row in table.rows}
    against: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.baseline is not None:
            against.setdefault(row.baseline, []).append(row)
    first = next(iter(against), "")
    if len(table.rows) > LISTED and len(against.get(first, ())) == len(table.rows) - 1:
        return f"{rows[first].label} for every other row"
    several = len({row.group for row in table.rows}) > 1
    return "; ".join(_comparison(rows[baseline], compared, several) for baseline, compared in against.items())


def _comparison(baseline: Row, compared: list[Row], several_groups: bool) -> str:
    """A baseline and its rows; their group, where the table has others, is said once if they share it."""
    apart = len({row.group for row in (baseline, *compared)}) > 1
    names = [f"{row.label} ({row.group})" if apart and row.group else row.label for row in (baseline, *compared)]
    group = f" ({baseline.group})" if several_groups and not apart and baseline.group else ""
    return f"{names[0]} for {' · '.join(names[1:])}{group}"
