"""What the cells of a claim show at one scale: both figures of each, a test of each, and the verdict of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fasa.reporting import comparison
from fasa.reporting.comparison import CONFIRMED, CONTRADICTED, UNDECIDED, Difference, Summary
from fasa.reporting.findings.kept import KeptCell, Results
from fasa.study.artifacts import Column, Row, Table
from fasa.study.claims import MARGINS, Check, Claim

SIGNIFICANT = 1 - comparison.CONFIDENCE
MIXED = "mixed"
NOT_RUN = "not run"
BY_EYE = "by eye"
ONE_SEED = "one seed"  # of a cell: nothing can be tested
UPWARDS = ("higher", "not lower")


@dataclass(frozen=True)
class Evidence:
    """One cell of a claim: ``ours`` are the levels of both sides over the paired seeds, ``difference`` the first one's
    from the second, or its growth in per cent for "at most".

    ``bound`` is what the difference must lie above or below, ``p`` the test against it, ``adjusted`` the same by Holm
    over the claim's cells; ``missing`` says why there is nothing.
    """

    check: Check
    table: Table
    row: Row
    column: Column
    against: Row | None
    over: Column | None
    published: tuple[float | None, float | None]
    published_difference: float | None
    ours: tuple[Summary, Summary]
    difference: Difference | None
    bound: float
    p: float | None
    adjusted: float | None
    verdict: str
    missing: str

    @property
    def n(self) -> int:
        """Number of seeds that both sides have."""
        return self.difference.n if self.difference else 0

    @property
    def published_holds(self) -> bool | None:
        """Whether the paper's own figures are as the claim says; None where it prints none."""
        if self.published_difference is None:
            return None
        return (self.published_difference - self.bound) * expected_sign(self.check) > 0


@dataclass(frozen=True)
class Finding:
    """A claim at one scale: its cells, and their joint verdict, with what it is made of where they do not agree."""

    claim: Claim
    scale: str
    evidence: tuple[Evidence, ...]
    verdict: str
    reason: str


def judge(claim: Claim, tables: Mapping[str, Table], results: Results) -> Finding:
    """Test every cell of ``claim`` on ``results``, and join the verdicts.

    Confirmed: every cell is. Contradicted: one is at least, and none is confirmed. Mixed: some are confirmed and some
    contradicted. Undecided: neither. Not run: no cell has a pair of runs. A claim says that all its cells hold, so one
    wrong confirmation does not confirm it (an intersection-union test, which needs no adjustment), but one wrong
    contradiction would contradict it: that is why only contradictions are by the adjusted p.
    """
    cells = [cell for check in claim.cells for cell in _cells(check, tables[check.table], results)]
    adjusted = iter(comparison.holm([cell.p for cell in cells if cell.p is not None]))
    judged = tuple(_judged(cell, next(adjusted)) if cell.p is not None else cell for cell in cells)
    return Finding(claim, results.scale.name, judged, *_joint([cell.verdict for cell in judged]))


def expected_sign(check: Check) -> int:
    """1 where a cell must lie above its bound, −1 where below."""
    return 1 if check.expect in UPWARDS else -1


def _cells(check: Check, table: Table, results: Results) -> Iterator[Evidence]:
    rows = {row.id: row for row in table.rows}
    columns = {column.key: column for column in table.columns}
    for row in (rows[name] for name in check.rows):
        against = None
        if not check.over and check.than is None:
            against = rows[check.against or row.baseline]
        for column in (columns[key] for key in check.columns):
            for over in [columns[key] for key in check.over] or [None]:
                yield _evidence(check, table, row, column, against, over, results)


def _evidence(
    check: Check, table: Table, row: Row, column: Column, against: Row | None, over: Column | None, results: Results
) -> Evidence:
    ours = _kept(results, table, row, column)
    if check.than is not None:
        other_row, other = row, KeptCell(dict.fromkeys(ours.values, check.than), "")
        published = (row.printed(column)[0], None)
    else:
        other_row, other_column = against or row, over or column
        other = _kept(results, table, other_row, other_column)
        published = (row.printed(column)[0], other_row.printed(other_column)[0])
    sides = ((row, ours), (other_row, other))
    growth = check.percent is not None
    both = sorted(ours.values.keys() & other.values.keys())
    changes = {seed: _change(ours.values[seed], other.values[seed], growth) for seed in both}
    difference = comparison.paired_difference(changes, dict.fromkeys(changes, 0.0))
    bound = _bound(check, table)
    reasons = dict.fromkeys(f"{row.label}: {cell.missing}" for row, cell in sides if cell.missing)
    return Evidence(
        check=check,
        table=table,
        row=row,
        column=column,
        against=against,
        over=over,
        published=published,
        published_difference=None if None in published else round(_change(*published, growth), comparison.DECIMALS),
        ours=(_paired(ours, both), _paired(other, both)),
        difference=difference,
        bound=bound,
        p=comparison.two_sided_p([changes[seed] for seed in both], bound),
        adjusted=None,
        verdict=NOT_RUN if not both else ONE_SEED,
        missing="; ".join(reasons),
    )


def _judged(cell: Evidence, adjusted: float) -> Evidence:
    holds = (cell.difference.mean > cell.bound) == (expected_sign(cell.check) > 0)
    verdict = UNDECIDED
    if (cell.p if holds else adjusted) <= SIGNIFICANT:
        verdict = CONFIRMED if holds else CONTRADICTED
    return replace(cell, adjusted=adjusted, verdict=verdict)


def _joint(verdicts: list[str]) -> tuple[str, str]:
    if not verdicts:
        return BY_EYE, ""
    counts = Counter(verdicts)
    if len(counts) == 1:
        (only,) = counts
        return (UNDECIDED, ONE_SEED) if only == ONE_SEED else (only, "")
    order = (CONFIRMED, CONTRADICTED, UNDECIDED, ONE_SEED, NOT_RUN)
    reason = ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
    if counts[CONTRADICTED]:
        return (MIXED if counts[CONFIRMED] else CONTRADICTED), reason
    return UNDECIDED, reason


def _bound(check: Check, table: Table) -> float:
    if check.expect in MARGINS:
        return -expected_sign(check) * table.tolerance
    return check.percent if check.percent is not None else 0.0


def _paired(cell: KeptCell, seeds: list[int]) -> Summary:
    """Over the seeds that both sides have; over all where there is no pair."""
    return comparison.summarise({seed: cell.values[seed] for seed in seeds or cell.values})


def _change(value: float, other: float, growth: bool) -> float:
    return 100 * (value / other - 1) if growth else value - other


def _kept(results: Results, table: Table, row: Row, column: Column) -> KeptCell:
    if (cell := results.cells.get((table.name, row.id, column.key))) is not None:
        return cell
    return KeptCell(
        {}, "no table of it is kept" if table.name not in results.datasets else "the kept table lacks the row"
    )
