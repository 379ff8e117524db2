"""Two recipes beside one another: their measurements, the paired differences, and whether any control gains at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fasa.reporting.cells import UNDECIDED, Difference, SeedStatistics, lookup, paired_difference, summarise
from fasa.reporting.findings.evidence import NO_HEADROOM, two_sided_p

if TYPE_CHECKING:
    from fasa.study import Study

Measurements = dict[int, dict[str, Any]]  # of a recipe, by seed


@dataclass(frozen=True)
class Gain:
    """What a control gains over the base: its ``row`` in a table, by id, its recipe, and the paired difference."""

    row: str
    recipe: str
    difference: Difference

    @property
    def shows(self) -> bool:
        """Whether the whole interval lies above 0: there is something to gain."""
        return self.difference.low is not None and self.difference.low > 0


@dataclass(frozen=True)
class Compared:
    """One measurement of both recipes, in per cent; ``p`` is Student's for the paired difference.

    ``headroom`` is the control whose interval begins highest; None where none has two pairs.
    """

    label: str
    measure: str
    base: SeedStatistics
    mine: SeedStatistics
    difference: Difference | None
    p: float | None
    headroom: Gain | None

    @property
    def verdict(self) -> str:
        """Higher or lower where the interval leaves out 0; else undecided, or no headroom where no control gains."""
        found = self.difference
        if found is not None and found.low is not None and found.high is not None and not found.low <= 0 <= found.high:
            return "higher" if found.mean > 0 else "lower"
        gain, pairs = self.headroom, found.n if found is not None else 0
        return NO_HEADROOM if gain is not None and not gain.shows and gain.difference.n >= pairs else UNDECIDED


def compare(study: Study, base: str, mine: str, seeds: Sequence[int]) -> tuple[Compared, ...]:
    """``mine`` less ``base``, recipes of one task, by what this task says is compared, over the ``seeds`` measured."""
    task, load = study.task(base), cache(lambda recipe: _measurements(study, recipe, seeds))
    measures = task.compared or {name: name for name in task.measurements}
    found = []
    for label, measure in measures.items():
        ours, others = (_values(load(recipe), measure) for recipe in (mine, base))
        both = sorted(ours.keys() & others.keys())
        difference = paired_difference(ours, others)
        p = two_sided_p([ours[seed] - others[seed] for seed in both], 0.0)
        gains = [gain for gain in _gains(study, base, mine, measure, load) if gain.difference.low is not None]
        best = max(gains, key=lambda gain: gain.difference.low or 0.0, default=None)
        found.append(Compared(label, measure, summarise(others), summarise(ours), difference, p, best))
    return tuple(found)


def controls(study: Study, base: str) -> tuple[str, ...]:
    """The recipes of all controls over ``base`` in tables."""
    return tuple(dict.fromkeys(recipe for _, recipe, _ in _controls(study, base, "")))


def as_json(study: Study, base: str, mine: str, seeds: Sequence[int], compared: Sequence[Compared]) -> dict[str, Any]:
    """Everything of a comparison, ready for JSON; figures in per cent."""
    return {
        "scale": study.scale.name,
        "base": base,
        "mine": mine,
        "seeds": list(seeds),
        "metrics": [{**asdict(each), "verdict": each.verdict} for each in compared],
    }


def _gains(study: Study, base: str, mine: str, measure: str, load: Callable[[str], Measurements]) -> Iterator[Gain]:
    others = _values(load(base), measure)
    for row, recipe, name in _controls(study, base, measure):
        if recipe != mine and (difference := paired_difference(_values(load(recipe), name), others)):
            yield Gain(row, recipe, difference)


def _controls(study: Study, base: str, measure: str) -> Iterator[tuple[str, str, str]]:
    """Id, recipe and own measurement of what stands below the line of a table with ``base`` as its baseline."""
    for table in study.tables.values():
        over = [row.id for row in table.rows if row.recipe == base and row.measure is None]
        for row in (row for one in over for row in table.controls_over(one)):
            if row.measure is None:
                yield row.id, row.recipe, measure
            elif row.measure.endswith(".*"):
                yield row.id, row.recipe, row.measure[:-1] + measure
            elif measure == table.columns[0].key:  # where a row shows its single measurement
                yield row.id, row.recipe, row.measure


def _measurements(study: Study, recipe: str, seeds: Sequence[int]) -> Measurements:
    loaded = {seed: study.load_metrics(recipe, seed) for seed in seeds}
    return {seed: each["measurements"] for seed, each in loaded.items() if each is not None}


def _values(measurements: Measurements, measure: str) -> dict[int, float]:
    found = {seed: lookup(each, measure) for seed, each in measurements.items()}
    return {seed: 100 * value for seed, value in found.items() if value is not None}
