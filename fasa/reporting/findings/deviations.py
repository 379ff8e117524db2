"""The last column of docs/deviations.md: what a decision changed where a table's rows measure it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from fasa.reporting.cells import Difference, paired_difference
from fasa.reporting.csv_tables import Results
from fasa.reporting.layout import decimals, interval, signed
from fasa.reporting.markdown import escape
from fasa.study.artifacts import Column, Row, Table

HEADING = "Measured effect"
NUMBERED = re.compile(r"\| (\d+) \|")
LAST_CELL = re.compile(r" (?:[^|\\]|\\.)* \|$")


def insert_effects(text: str, tables: Mapping[str, Table], kept: Sequence[Results]) -> str:
    """``text`` of the page with the column made anew in each of its tables that has a measured row, and in no other.

    A row of a table of results measures the decision of its ``deviation``, by its difference from its baseline.
    """
    parts = []
    for in_table, group in groupby(text.split("\n"), lambda line: line.startswith("|")):
        lines = list(group)
        parts += _table(lines, tables, kept) if in_table else lines
    return "\n".join(parts)


def _table(lines: list[str], tables: Mapping[str, Table], kept: Sequence[Results]) -> list[str]:
    if lines[0].endswith(f"| {HEADING} |"):
        lines = [
            LAST_CELL.sub("", line) if index != 1 else line.removesuffix("---|") for index, line in enumerate(lines)
        ]
    numbers = [int(match[1]) if (match := NUMBERED.match(line)) else None for line in lines]
    measured = {row.deviation for table in tables.values() for row in table.rows if row.deviation is not None}
    if not measured & set(numbers):
        return lines
    told = [HEADING, "", *(_effect(number, tables, kept) for number in numbers[2:])]
    return [f"{line}---|" if index == 1 else f"{line} {told[index]} |" for index, line in enumerate(lines)]


def _effect(number: int | None, tables: Mapping[str, Table], kept: Sequence[Results]) -> str:
    """A line for each option that was measured; rows of several tables with one label are of the same option."""
    told: dict[str, list[str]] = {}
    for table in tables.values():
        for row in table.rows:
            if number is not None and row.deviation == number:
                label = row.label.removeprefix(f"{number}: ")  # the line has that number already
                told.setdefault(label, []).extend(_of_row(row, table, kept))
    return "<br>".join(escape(f"{label}: {'; '.join(found) or 'not run'}") for label, found in told.items()) or "–"


def _of_row(row: Row, table: Table, kept: Sequence[Results]) -> Iterator[str]:
    """ "AP −0.21 [−1.20, +0.80], n = 3 (mini)", of each scale that has both rows."""
    for results in kept:
        found = [(column, _difference(row, column, table, results)) for column in table.columns]
        measured = [(column, difference) for column, difference in found if difference is not None]
        pairs = {difference.n for _, difference in measured}
        effects = [
            _effect_on(column, difference) + (f", n = {difference.n}" if len(pairs) > 1 else "")
            for column, difference in measured
        ]
        if effects:
            shared = f", n = {pairs.pop()}" if len(pairs) == 1 else ""
            yield f"{', '.join(effects)}{shared} ({results.scale.name})"


def _difference(row: Row, column: Column, table: Table, results: Results) -> Difference | None:
    ours, other = (results.cells.get((table.name, name, column.key)) for name in (row.id, row.baseline or ""))
    return None if ours is None or other is None else paired_difference(ours.values, other.values)


def _effect_on(column: Column, difference: Difference) -> str:
    digits = decimals(column)
    return f"{column.label} {signed(difference.mean, digits)} {interval(difference, digits)}".rstrip()
