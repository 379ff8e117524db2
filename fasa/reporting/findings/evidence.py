"""Whether a claim holds at one scale: what its cells show, a test of each, and the verdict of all."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.special import fdtr, fdtrc, fdtri, stdtr

from fasa.reporting.cells import (
    CONFIDENCE,
    CONFIRMED,
    CONTRADICTED,
    DECIMALS,
    UNDECIDED,
    Difference,
    SeedStatistics,
    paired_difference,
    summarise,
)
from fasa.reporting.csv_tables import KeptCell, Results
from fasa.study.artifacts import Column, Row, Table
from fasa.study.claims import LESS_VARIED, MARGINS, Check, Claim, Headroom

SIGNIFICANT = 1 - CONFIDENCE
MIXED = "mixed"
NO_HEADROOM = "no headroom"
NOT_RUN = "not run"
BY_EYE = "by eye"
ONE_SEED = "one seed"  # of a cell: nothing can be tested
UPWARDS = ("higher", "not lower")


@dataclass(frozen=True)
class Control:
    """A control's ``difference`` from its own baseline, and whether that ``shows`` headroom by its interval."""

    row: Row
    difference: Difference
    shows: bool


@dataclass(frozen=True)
class Evidence:
    """One cell of a claim: ``ours`` are the levels of both sides over the ``n`` paired seeds, ``difference`` the first
    one's from the second, its growth in per cent for "at most", or the ratio of their spreads for "less varied".

    ``published`` has of both sides what is compared, and ``bound`` is what the difference must lie above or below.
    ``p`` is the test against it, ``adjusted`` the same by Holm over the claim's cells. ``control`` is the best of those
    that the claim takes its headroom from; ``missing`` says why there is nothing.
    """

    check: Check
    table: Table
    row: Row
    column: Column
    against: Row | None
    over: Column | None
    published: tuple[float | None, float | None]
    published_difference: float | None
    ours: tuple[SeedStatistics, SeedStatistics]
    n: int
    difference: Difference | None
    bound: float
    p: float | None
    adjusted: float | None
    control: Control | None
    verdict: str
    missing: str

    @property
    def is_growth(self) -> bool:
        """Whether differences and their bound are in per cent of what is compared with."""
        return self.check.percent is not None

    @property
    def is_ratio(self) -> bool:
        """Whether it is the ratio of two spreads."""
        return self.check.expect == LESS_VARIED

    @property
    def published_holds(self) -> bool | None:
        """Whether the paper's own figures are as the claim says; None where it prints none."""
        if self.published_difference is None:
            return None
        return (self.published_difference - self.bound) * expected_sign(self.check) > 0


@dataclass(frozen=True)
class JudgedClaim:
    """A claim at one scale: its cells and their joint verdict, with what it is made of where they do not agree."""

    claim: Claim
    scale: str
    evidence: tuple[Evidence, ...]
    verdict: str
    reason: str


def judge(claim: Claim, tables: Mapping[str, Table], results: Results) -> JudgedClaim:
    """Test every cell of ``claim`` on ``results``, and join the verdicts.

    Confirmed: every cell is. Contradicted: one is at least, and none is confirmed. Mixed: some are confirmed and some
    contradicted. No headroom: every cell that is not confirmed has none. Undecided: none of these. Not run: no cell has
    a pair of runs. A claim says that all its cells hold, so one wrong confirmation does not confirm it (an
    intersection-union test, which needs no adjustment), but one wrong contradiction would contradict it: that is why
    only contradictions are by the adjusted p.
    """
    cells = [cell for check in claim.cells for cell in _cells(check, tables, results)]
    adjusted = iter(holm([cell.p for cell in cells if cell.p is not None]))
    judged = tuple(_judged(cell, adjusted) for cell in cells)
    return JudgedClaim(claim, results.scale.name, judged, *_joint([cell.verdict for cell in judged]))


def expected_sign(check: Check) -> int:
    """1 where a cell must lie above its bound, −1 where below."""
    return 1 if check.expect in UPWARDS else -1


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


def spread_ratio(ours: SeedStatistics, other: SeedStatistics) -> tuple[Difference | None, float | None]:
    """The ratio of two standard deviations over equally many seeds, its F interval, and the p value that it is 1.

    None below two seeds. The test takes both for independent: what rows of one seed share makes it cautious. Values
    that do not vary on either side are a ratio of 1, on one side of 0 or infinity.
    """
    if ours.std is None or other.std is None:
        return None, None
    own, others, degrees = round(ours.std, DECIMALS), round(other.std, DECIMALS), ours.n - 1
    ratio = own / others if others else math.inf if own else 1.0
    p = 2 * min(float(fdtr(degrees, degrees, ratio**2)), float(fdtrc(degrees, degrees, ratio**2)))
    width = math.sqrt(float(fdtri(degrees, degrees, (1 + CONFIDENCE) / 2)))
    return Difference(ours.seeds, ratio, ratio / width, ratio * width), min(1.0, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p values, in the order of ``p_values``: the family's error stays that of one test."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _cells(check: Check, tables: Mapping[str, Table], results: Results) -> Iterator[Evidence]:
    table = tables[check.table]
    rows = {row.id: row for row in table.rows}
    columns = {column.key: column for column in table.columns}
    others: list[Column | None] = [columns[key] for key in check.over] or [None]
    for row in (rows[name] for name in check.rows):
        name = check.against or row.baseline
        against = rows[name] if name is not None and not check.over and check.than is None else None
        for column in (columns[key] for key in check.columns):
            control = _best_control(check.headroom, tables, row, column, results, expected_sign(check))
            for over in others:
                yield _evidence(check, table, row, column, against, over, control, results)


def _best_control(
    headroom: Headroom | None, tables: Mapping[str, Table], row: Row, column: Column, results: Results, sign: int
) -> Control | None:
    """Of the controls with two pairs at least the one whose interval ends best on the near side of 0; None of none."""
    if headroom is None:
        return None
    table = tables[headroom.table]
    rows = {other.id: other for other in table.rows}
    found = []
    for control in table.controls_over(headroom.over if headroom.over is not None else row.baseline):
        ours, baseline = (_kept(results, table, one, column) for one in (control, rows[control.baseline or ""]))
        difference = paired_difference(ours.values, baseline.values)
        if difference is not None and difference.low is not None and difference.high is not None:
            near = difference.low if sign > 0 else -difference.high
            found.append((near, Control(control, difference, shows=near > 0)))
    return max(found, key=lambda each: each[0])[1] if found else None


def _evidence(
    check: Check,
    table: Table,
    row: Row,
    column: Column,
    against: Row | None,
    over: Column | None,
    control: Control | None,
    results: Results,
) -> Evidence:
    ours = _kept(results, table, row, column)
    other_row, other_column = against or row, over or column
    of_spread = check.expect == LESS_VARIED
    printed, other_printed = row.printed(column)[of_spread], other_row.printed(other_column)[of_spread]
    if check.than is not None:
        other, other_printed = KeptCell(dict.fromkeys(ours.values, check.than), ""), None
    else:
        other = _kept(results, table, other_row, other_column)
    sides = ((row, ours), (other_row, other))
    step = None if printed is None or other_printed is None else _change(printed, other_printed, check)
    both = sorted(ours.values.keys() & other.values.keys())
    bound = _bound(check, table)
    if of_spread:
        difference, p = spread_ratio(_paired(ours, both), _paired(other, both)) if both else (None, None)
    else:
        changes = {seed: _change(ours.values[seed], other.values[seed], check) for seed in both}
        difference = paired_difference(changes, dict.fromkeys(changes, 0.0))
        p = two_sided_p(list(changes.values()), bound)
    reasons = dict.fromkeys(f"{row.label}: {cell.missing}" for row, cell in sides if cell.missing)
    return Evidence(
        check=check,
        table=table,
        row=row,
        column=column,
        against=against,
        over=over,
        published=(printed, other_printed),
        published_difference=None if step is None else round(step, DECIMALS),
        ours=(_paired(ours, both), _paired(other, both)),
        n=len(both),
        difference=difference,
        bound=bound,
        p=p,
        adjusted=None,
        control=control,
        verdict=NOT_RUN if not both else ONE_SEED,
        missing="; ".join(reasons),
    )


def _judged(cell: Evidence, adjusted_p: Iterator[float]) -> Evidence:
    if cell.p is None or cell.difference is None:
        return cell
    adjusted = next(adjusted_p)
    holds = (cell.difference.mean > cell.bound) == (expected_sign(cell.check) > 0)
    verdict = UNDECIDED
    if (cell.p if holds else adjusted) <= SIGNIFICANT:
        verdict = CONFIRMED if holds else CONTRADICTED
    elif cell.control is not None and not cell.control.shows and cell.control.difference.n >= cell.n:
        verdict = NO_HEADROOM
    return replace(cell, adjusted=adjusted, verdict=verdict)


def _joint(verdicts: list[str]) -> tuple[str, str]:
    if not verdicts:
        return BY_EYE, ""
    counts = Counter(verdicts)
    if len(counts) == 1:
        (only,) = counts
        return (UNDECIDED, ONE_SEED) if only == ONE_SEED else (only, "")
    order = (CONFIRMED, CONTRADICTED, UNDECIDED, NO_HEADROOM, ONE_SEED, NOT_RUN)
    reason = ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
    if counts[CONTRADICTED]:
        return (MIXED if counts[CONFIRMED] else CONTRADICTED), reason
    return (NO_HEADROOM if counts.keys() <= {CONFIRMED, NO_HEADROOM} else UNDECIDED), reason


def _bound(check: Check, table: Table) -> float:
    if check.expect in MARGINS and table.tolerance is not None:  # loading the claims has seen to the tolerance
        return -expected_sign(check) * table.tolerance
    if check.expect == LESS_VARIED:
        return 1.0
    return check.percent if check.percent is not None else 0.0


def _paired(cell: KeptCell, seeds: list[int]) -> SeedStatistics:
    """Over the seeds that both sides have; over all where there is no pair."""
    return summarise({seed: cell.values[seed] for seed in seeds or cell.values})


def _change(value: float, other: float, check: Check) -> float:
    if check.expect == LESS_VARIED:
        return value / other if other else math.inf
    return 100 * (value / other - 1) if check.percent is not None else value - other


def _kept(results: Results, table: Table, row: Row, column: Column) -> KeptCell:
    if (cell := results.cells.get((table.name, row.id, column.key))) is not None:
        return cell
    return KeptCell(
        {},
        "no table of it is kept" if table.name not in results.datasets else "the kept table has no such row or column",
    )
