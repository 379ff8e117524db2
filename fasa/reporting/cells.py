"""Read a table's cells out of the runs: one cell per row and column, with what is missing and why."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fasa.reporting import comparison
from fasa.reporting.comparison import Difference, Summary
from fasa.reporting.derived import PLACE, figure_numbers

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Column, Row, Table


@dataclass(frozen=True)
class Cell:
    """One row × column: the published value, ours, both differences from the row's baseline, the verdict.

    ``measure`` is None where the row has nothing to show in this column; ``missing`` pairs a seed (None: whatever the
    seed) with its reason.
    """

    row: Row
    column: Column
    measure: str | None
    published: float | None
    published_std: float | None
    ours: Summary
    published_difference: float | None
    difference: Difference | None
    verdict: str
    missing: tuple[tuple[int | None, str], ...]


@dataclass(frozen=True)
class Measured:
    """What the runs of one row say for one column: ``{seed: value}``, and the seeds that say nothing."""

    values: dict[int, float]
    missing: tuple[tuple[int | None, str], ...]


def lookup(measurements: dict[str, Any], measure: str) -> float | None:
    """Follow a dotted path such as ``accuracy.last``; None if it is absent, null or not finite."""
    value: Any = measurements
    for key in measure.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def measure_of(row: Row, column: Column, table: Table) -> str | None:
    """Name what a row shows in a column.

    A row with a single measurement of its own shows it in the first column only: under a heading such as "best epoch"
    the same number would be mislabelled. One that ends in ``.*`` has something for each column.
    """
    if row.measure is None:
        return column.key
    if row.measure.endswith(".*"):
        return row.measure[:-1] + column.key
    return row.measure if column is table.columns[0] else None


def build_cells(study: Study, table: Table) -> tuple[Cell, ...]:
    """All cells of ``table``, row by row in the order of the table, each over the seeds of its recipe."""
    rows = {row.id: row for row in table.rows}
    load = cache(study.load_metrics)

    def measured(row: Row, column: Column) -> Measured:
        return _measured(study, load, row, column, measure_of(row, column, table))

    cells = []
    for row in table.rows:
        baseline = rows[row.baseline] if row.baseline is not None else None
        for column in table.columns:
            ours = measured(row, column)
            other = measured(baseline, column) if baseline is not None else None
            cells.append(_cell(study, table, row, column, ours, baseline, other))
    return tuple(cells)


def datasets_used(study: Study, table: Table) -> tuple[str, ...]:
    """The data sets that the runs of ``table`` were really trained on, by their own word, sorted."""
    runs = {(row.recipe, seed) for row in table.rows for seed in study.seeds(row.recipe)}
    loaded = (study.load_metrics(recipe, seed) for recipe, seed in sorted(runs))
    return tuple(sorted({metrics["dataset"] for metrics in loaded if metrics is not None}))


def explain_missing(missing: tuple[tuple[int | None, str], ...]) -> str:
    """Join the reasons of several seeds into one sentence; seeds whose reasons differ only in the seed share one."""
    grouped: dict[str, list[tuple[int | None, str]]] = {}
    for seed, reason in missing:
        grouped.setdefault(re.sub(rf"\b{seed}\b", "S", reason), []).append((seed, reason))
    parts = []
    for members in grouped.values():
        seeds = ", ".join(str(seed) for seed, _ in members if seed is not None)
        prefix = f"seed{'s' if len(members) > 1 else ''} {seeds}: " if seeds else ""
        parts.append(prefix + members[0][1])
    return "; ".join(parts)


def _measured(study: Study, load: Callable, row: Row, column: Column, measure: str | None) -> Measured:
    if measure is None:
        return Measured({}, ((None, f"the row is one measurement, {row.measure}: see the first column"),))
    values: dict[int, float] = {}
    missing: list[tuple[int | None, str]] = []
    for seed in study.seeds(row.recipe):
        metrics = load(row.recipe, seed)
        if metrics is None:
            missing.append((seed, study.missing_reason(row.recipe, seed)))
        elif measure.split(".")[0] not in {PLACE, *metrics["measurements"]}:
            missing.append((seed, "measured before a row asked for this; fasa evaluate measures it anew"))
        elif (value := _read(metrics, measure)) is None:
            missing.append((seed, "the run has no such measurement"))
        else:
            values[seed] = value * 100 if column.unit == "%" else value
    return Measured(values, tuple(missing))


def _read(metrics: dict[str, Any], measure: str) -> float | None:
    """What is measured, or what follows from it."""
    if measure.split(".")[0] == PLACE:
        return lookup({PLACE: figure_numbers(metrics)}, measure)
    return lookup(metrics["measurements"], measure)


def _cell(
    study: Study, table: Table, row: Row, column: Column, ours: Measured, baseline: Row | None, other: Measured | None
) -> Cell:
    published, published_std = row.printed(column)
    summary = comparison.summarise(ours.values)
    if baseline is None or other is None:
        published_delta = difference = None
        verdict = comparison.level_verdict(published, summary, table.tolerance, study.scale.comparable)
    else:
        published_delta = comparison.published_difference(published, baseline.printed(column)[0])
        difference = comparison.paired_difference(ours.values, other.values)
        base = comparison.summarise(other.values)
        verdict = comparison.difference_verdict(published_delta, summary, base, difference)
    return Cell(
        row=row,
        column=column,
        measure=measure_of(row, column, table),
        published=published,
        published_std=published_std,
        ours=summary,
        published_difference=published_delta,
        difference=difference,
        verdict=verdict,
        missing=ours.missing,
    )
