"""A table's cells: what its runs measured beside what the paper prints, with the difference and the verdict.

Every number is in the unit of its table column (percent for accuracies).
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from scipy.special import stdtrit

from fasa.reporting.figure_numbers import PLACE, figure_numbers
from fasa.reporting.together import made_once

if TYPE_CHECKING:
    import numpy as np

    from fasa.study import Study
    from fasa.study.artifacts import Column, Row, Table
    from fasa.study.scales import Scale

Spread = TypeVar("Spread", float, "np.ndarray")

CONFIDENCE = 0.95
NOTHING = "—"
CONFIRMED = "confirmed"
CONTRADICTED = "contradicted"
UNDECIDED = "undecided"

# Accuracies are multiples of 1/(test images): anything finer than this is floating-point noise. Left in, it would give
# equal differences a spread of 1e-15 and turn a difference of exactly nothing into a "significant" one.
DECIMALS = 9


@dataclass(frozen=True)
class SeedStatistics:
    """One measurement over the seeds that have it: ``mean`` is None without any, ``std`` (ddof 1) below two."""

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float | None
    std: float | None

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.seeds)


@dataclass(frozen=True)
class Difference:
    """Mean over paired seeds of (row − baseline), and its confidence interval: None below two pairs."""

    seeds: tuple[int, ...]
    mean: float
    low: float | None
    high: float | None

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.seeds)


@dataclass(frozen=True)
class Measured:
    """What the runs of one row say for one column, by seed, and why other seeds say nothing."""

    measure: str | None
    values: dict[int, float]
    missing: str


@dataclass(frozen=True)
class TableCell:
    """One row × column: the published value, ours, both differences from the row's baseline, the verdict.

    ``measure`` is None where the row has nothing to show in this column; ``missing`` says why seeds have no value.
    """

    row: Row
    column: Column
    measure: str | None
    published: float | None
    published_std: float | None
    ours: SeedStatistics
    published_difference: float | None
    difference: Difference | None
    verdict: str
    missing: str


@dataclass(frozen=True)
class MeasuredTable:
    """A table and all its ``cells`` by (row id, column key), row by row in the table's order.

    ``description`` says what a run is at this scale; ``datasets`` are those that the runs say they were trained on.
    """

    table: Table
    scale: Scale
    description: str
    datasets: tuple[str, ...]
    cells: dict[tuple[str, str], TableCell]

    @property
    def started(self) -> bool:
        """Whether any cell has a run."""
        return any(cell.ours.n for cell in self.cells.values())


@made_once
def measure_table(study: Study, table: Table) -> MeasuredTable:
    """Load each run of ``table`` once and make its cells, each over the seeds of its row's recipe."""
    runs = {recipe: load_runs(study, recipe) for recipe in table.recipes()}
    measured = {
        (row.id, column.key): _measured(row, column, table, *runs[row.recipe])
        for row in table.rows
        for column in table.columns
    }
    datasets = {metrics["dataset"] for loaded, _ in runs.values() for metrics in loaded.values()}
    return compare(table, study.scale, study.description(table.rows[0].recipe), sorted(datasets), measured)


def compare(
    table: Table, scale: Scale, description: str, datasets: Iterable[str], measured: Mapping[tuple[str, str], Measured]
) -> MeasuredTable:
    """The cells of ``table`` from what was ``measured`` of each row and column."""
    rows = {row.id: row for row in table.rows}
    columns = {column.key: column for column in table.columns}
    cells = {}
    for (row_id, key), ours in measured.items():
        row, column = rows[row_id], columns[key]
        published, published_std = row.printed(column)
        own = summarise(ours.values)
        if row.baseline is None:
            published_step = difference = None
            verdict = level_verdict(published, own, table.tolerance, scale.comparable)
        else:
            baseline = measured[row.baseline, key]
            published_step = published_difference(published, rows[row.baseline].printed(column)[0])
            difference = paired_difference(ours.values, baseline.values)
            verdict = difference_verdict(published_step, own, summarise(baseline.values), difference)
        cells[row_id, key] = TableCell(
            row=row,
            column=column,
            measure=ours.measure,
            published=published,
            published_std=published_std,
            ours=own,
            published_difference=published_step,
            difference=difference,
            verdict=verdict,
            missing=ours.missing,
        )
    return MeasuredTable(table, scale, description, tuple(datasets), cells)


def load_runs(study: Study, recipe: str) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    """The metrics of each seed of ``recipe`` that is measured, and why the other seeds are not."""
    loaded = {seed: study.load_metrics(recipe, seed) for seed in study.seeds(recipe)}
    measured = {seed: metrics for seed, metrics in loaded.items() if metrics is not None}
    return measured, {seed: study.missing_reason(recipe, seed) for seed in loaded if seed not in measured}


def lookup(measurements: dict[str, Any], measure: str) -> float | None:
    """Follow a dotted path such as ``accuracy.last``; None if it is absent, null or not finite."""
    value: Any = measurements
    for key in measure.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def explain_missing(missing: Iterable[tuple[int, str]]) -> str:
    """Join the reasons of several seeds into one sentence; seeds whose reasons differ only in the seed share one."""
    grouped: dict[str, list[tuple[int, str]]] = {}
    for seed, reason in missing:
        grouped.setdefault(re.sub(rf"\b{seed}\b", "S", reason), []).append((seed, reason))
    parts = []
    for members in grouped.values():
        seeds = ", ".join(str(seed) for seed, _ in members)
        parts.append(f"seed{'s' if len(members) > 1 else ''} {seeds}: {members[0][1]}")
    return "; ".join(parts)


def summarise(values: Mapping[int, float]) -> SeedStatistics:
    """Mean and sample standard deviation of ``{seed: value}``."""
    seeds = tuple(sorted(values))
    numbers = tuple(values[seed] for seed in seeds)
    mean = statistics.fmean(numbers) if numbers else None
    std = statistics.stdev(numbers) if len(numbers) > 1 else None
    return SeedStatistics(seeds, numbers, mean, std)


def paired_difference(ours: Mapping[int, float], baseline: Mapping[int, float]) -> Difference | None:
    """Mean difference over the seeds that both have, with Student's t interval at 95 %; None without a common seed.

    A seed fixes the data and the initial weights of both rows, so pairing removes what they share.
    Equal differences give an interval of zero width.
    """
    seeds = tuple(sorted(ours.keys() & baseline.keys()))
    if not seeds:
        return None
    differences = [round(ours[seed] - baseline[seed], DECIMALS) for seed in seeds]
    mean = statistics.fmean(differences)
    if len(seeds) < 2:
        return Difference(seeds, mean, None, None)
    half = half_width(statistics.stdev(differences), len(seeds))
    return Difference(seeds, mean, mean - half, mean + half)


def half_width(deviation: Spread, pairs: int) -> Spread:
    """Half of Student's interval at 95 % of a mean of ``pairs``, at least 2, from their sample standard deviation."""
    return float(stdtrit(pairs - 1, (1 + CONFIDENCE) / 2)) * deviation / math.sqrt(pairs)


def published_difference(row: float | None, baseline: float | None) -> float | None:
    """Published row − published baseline; None where either is not published."""
    return None if row is None or baseline is None else round(row - baseline, DECIMALS)


def difference_verdict(
    published: float | None, row: SeedStatistics, baseline: SeedStatistics, difference: Difference | None
) -> str:
    """Say whether our paired difference has the sign of the published one.

    "confirmed": the interval lies wholly on the published side of 0; "contradicted": wholly on the other;
    "undecided": it holds 0, or there are fewer than two pairs; "—": either has no run, or no published sign to test.
    """
    if not published or row.n == 0 or baseline.n == 0:
        return NOTHING
    if difference is None or difference.low is None or difference.high is None:
        return UNDECIDED
    if difference.low <= 0 <= difference.high:
        return UNDECIDED
    return CONFIRMED if (difference.mean > 0) == (published > 0) else CONTRADICTED


def level_verdict(published: float | None, row: SeedStatistics, tolerance: float | None, comparable: bool) -> str:
    """Say whether our mean lies within ``tolerance`` of the published value; "—" where levels are not comparable."""
    if published is None or row.mean is None or tolerance is None or not comparable:
        return NOTHING
    distance = round(row.mean - published, DECIMALS)
    return f"within {float(tolerance)}" if abs(distance) <= tolerance else f"off by {distance:+.2f}"


def _measured(
    row: Row, column: Column, table: Table, runs: Mapping[int, dict[str, Any]], reasons: Mapping[int, str]
) -> Measured:
    measure = measure_of(row, column, table)
    if measure is None:
        return Measured(None, {}, f"the row is one measurement, {row.measure}: see the first column")
    values, missing, place = {}, dict(reasons), measure.split(".")[0]
    for seed, metrics in runs.items():
        found = {PLACE: figure_numbers(metrics)} if place == PLACE else metrics["measurements"]
        value = lookup(found, measure)
        if value is not None:
            values[seed] = value * 100 if column.unit == "%" else value
        elif place in found:
            missing[seed] = "the run has no such measurement"
        else:
            missing[seed] = "measured before a row asked for this; fasa evaluate measures it anew"
    return Measured(measure, values, explain_missing(sorted(missing.items())))


def measure_of(row: Row, column: Column, table: Table) -> str | None:
    """What a row shows in a column.

    A row with a single measurement of its own shows it in the first column only: under a heading such as "best epoch"
    the same number would be mislabelled. One that ends in ``.*`` has something for each column.
    """
    if row.measure is None:
        return column.key
    if row.measure.endswith(".*"):
        return row.measure[:-1] + column.key
    return row.measure if column == table.columns[0] else None
