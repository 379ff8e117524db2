"""The measured effects in docs/deviations.md: what a decision changed where a table's rows measure it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fasa.reporting.cells import NOTHING, Difference, paired_difference
from fasa.reporting.csv_tables import Results
from fasa.reporting.layout import decimals, interval, signed
from fasa.reporting.markdown import escape, insert, line
from fasa.study.artifacts import Column, Row, Table

HEADING = ("Row", "Other choice", "Scale", "Difference from ours", "n")


def insert_effects(text: str, tables: Mapping[str, Table], kept: Sequence[Results], path: Path) -> str:
    """``text`` of the page at ``path`` with its table of effects made anew.

    A row of a table of results measures the decision of its ``deviation``, by its difference from its baseline.

    Raises:
        UserError: the page has no place for it.
    """
    measured: dict[tuple[int, str], list[tuple[str, str, str]]] = {}
    for table in tables.values():
        for row in table.rows:
            if row.deviation is not None:
                # Rows of several tables with one label are of the same option.
                option = row.deviation, row.label.removeprefix(f"{row.deviation}: ")
                measured.setdefault(option, []).extend(_of_row(row, table, kept))
    lines = [line(HEADING), line(["---"] * len(HEADING))]
    for number, label in sorted(measured, key=lambda option: option[0]):
        found = measured[number, label] or [(NOTHING, "not run", NOTHING)]
        lines += [line([str(number), *map(escape, (label, *effect))]) for effect in found]
    return insert(text, "effects", lines, path)


def _of_row(row: Row, table: Table, kept: Sequence[Results]) -> Iterator[tuple[str, str, str]]:
    """Scale, "AP −0.21 [−1.20, +0.80], APr …" and the number of seeds, of each scale that has both rows."""
    for results in kept:
        found = [(column, _difference(row, column, table, results)) for column in table.columns]
        measured = [(column, difference) for column, difference in found if difference is not None]
        if measured:
            effects = ", ".join(_effect_on(column, difference) for column, difference in measured)
            pairs = dict.fromkeys(str(difference.n) for _, difference in measured)
            yield results.scale.name, effects, ", ".join(pairs)


def _difference(row: Row, column: Column, table: Table, results: Results) -> Difference | None:
    ours, other = (results.cells.get((table.name, name, column.key)) for name in (row.id, row.baseline or ""))
    return None if ours is None or other is None else paired_difference(ours.values, other.values)


def _effect_on(column: Column, difference: Difference) -> str:
    digits = decimals(column)
    return f"{column.label} {signed(difference.mean, digits)} {interval(difference, digits)}".rstrip()
