"""Set our numbers beside the published ones: mean and spread over seeds, paired differences, and a verdict from a test.

Pure functions over plain numbers; every number is in the unit of its table column (percent for accuracies).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
NOTHING = "—"
CONFIRMED = "confirmed"
CONTRADICTED = "contradicted"
UNDECIDED = "undecided"

# Accuracies are multiples of 1/(test images): anything finer than this is floating-point noise. Left in, it would give
# equal differences a spread of 1e-15 and turn a difference of exactly nothing into a "significant" one.
DECIMALS = 9


@dataclass(frozen=True)
class Summary:
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


def summarise(values: Mapping[int, float]) -> Summary:
    """Mean and sample standard deviation of ``{seed: value}``."""
    seeds = tuple(sorted(values))
    numbers = tuple(values[seed] for seed in seeds)
    mean = statistics.fmean(numbers) if numbers else None
    std = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Summary(seeds, numbers, mean, std)


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
    quantile = float(stdtrit(len(seeds) - 1, (1 + CONFIDENCE) / 2))
    half_width = quantile * statistics.stdev(differences) / math.sqrt(len(seeds))
    return Difference(seeds, mean, mean - half_width, mean + half_width)


def published_difference(row: float | None, baseline: float | None) -> float | None:
    """Published row − published baseline; None where either is not published."""
    return None if row is None or baseline is None else round(row - baseline, DECIMALS)


def difference_verdict(published: float | None, row: Summary, baseline: Summary, difference: Difference | None) -> str:
    """Say whether our paired difference bears out the sign of the published one.

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


def level_verdict(published: float | None, row: Summary, tolerance: float | None, comparable: bool) -> str:
    """Say whether our mean lies within ``tolerance`` of the published value; "—" where levels are not comparable."""
    if published is None or row.mean is None or tolerance is None or not comparable:
        return NOTHING
    distance = round(row.mean - published, DECIMALS)
    return f"within {float(tolerance)}" if abs(distance) <= tolerance else f"off by {distance:+.2f}"


def two_sided_p(values: Sequence[float], null: float) -> float | None:
    """The p value of Student's t test that ``values`` have the mean ``null``; None of fewer than two.

    Equal values are 0, or 1 if they are ``null``.
    """
    if len(values) < 2:
        return None
    distance = round(statistics.fmean(values) - null, DECIMALS)
    spread = statistics.stdev([round(value, DECIMALS) for value in values])
    if spread == 0:
        return 0.0 if distance else 1.0
    return 2 * float(stdtr(len(values) - 1, -abs(distance) * math.sqrt(len(values)) / spread))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p values, in the order of ``p_values``: the family's error stays that of one test."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
