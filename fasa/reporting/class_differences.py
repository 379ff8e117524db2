"""What a row changed in every class: differences from its baseline, paired by seed, for the report's table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fasa.reporting.cells import half_width
from fasa.study.artifacts import Row, Table

MEASURES = {  # the first that both have, in words
    "per_class_ap": "AP of masks",
    "per_class_accuracy": "accuracy",
    "class_top1": "share of regions in which the true class is first",
}
Metrics = Mapping[int, Mapping[str, Any]]  # of a recipe, by seed


@dataclass(frozen=True)
class ClassDifferences:
    """Of one comparison ``classes`` has (name, training examples, baseline, difference, low, high), in per cent.

    The interval is Student's at 95 % over ``n`` pairs, NaN of one pair.
    """

    label: str
    measure: str
    n: int
    classes: tuple[tuple[str, int, float, float, float, float], ...]


def compare_classes(
    tables: Sequence[Table], loaded: Mapping[str, tuple[Metrics, Mapping[int, str]]]
) -> Iterator[ClassDifferences]:
    """Every comparison of two recipes that a table of the paper's rows makes, each once, where classes were measured.

    Args:
        loaded: by recipe, as :func:`~fasa.reporting.cells.load_runs` gives it.
    """
    seen = set()
    for table in tables:
        rows = {row.id: row for row in table.rows}
        for row in table.rows:
            if row.baseline is None or row.control or row.measure is not None:
                continue
            baseline = rows[row.baseline]
            pair = row.recipe, baseline.recipe
            if baseline.measure is None and row.recipe != baseline.recipe and pair not in seen:
                seen.add(pair)
                yield from _compare(_label(table, row, baseline), *(loaded[recipe][0] for recipe in pair))


def _compare(label: str, ours: Metrics, baseline: Metrics) -> Iterator[ClassDifferences]:
    seeds = sorted(ours.keys() & baseline.keys())
    for measure, words in MEASURES.items():
        both = [[runs[seed]["measurements"].get(measure) for seed in seeds] for runs in (ours, baseline)]
        if not seeds or any(values is None for side in both for values in side):
            continue
        run = ours[seeds[0]]
        first, second = (100 * np.asarray(side, float) for side in both)  # [seeds, C]
        steps = first - second
        mean, n = steps.mean(axis=0), len(seeds)
        half = np.full(len(mean), math.nan)
        if n > 1:
            half = half_width(steps.std(axis=0, ddof=1), n)
        base = second.mean(axis=0)
        classes = tuple(
            (str(name), int(run["class_counts"][c]), float(base[c]), float(mean[c]), *_interval(mean[c], half[c]))
            for c, name in enumerate(run["class_names"])
            if np.isfinite(mean[c])
        )
        yield ClassDifferences(label, words, n, classes)
        return


def _interval(mean: float, half: float) -> tuple[float, float]:
    return float(mean - half), float(mean + half)


def _label(table: Table, row: Row, baseline: Row) -> str:
    group = f"{row.group}: " if row.group else ""
    return f"{table.published_as} — {group}{row.label} − {baseline.label}"
