"""What is printed below a table because it holds for every row: scale, data, how to read the numbers, baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fasa.reporting.cells import CONFIRMED, CONTRADICTED, NOTHING, UNDECIDED

if TYPE_CHECKING:
    from fasa.reporting.cells import MeasuredTable
    from fasa.study.artifacts import Row, Table

LISTED = 8  # rows of a table whose compared ones are named one by one


def remarks(measured: MeasuredTable) -> tuple[str, ...]:
    """The remarks on a table, its own note first."""
    table, scale, used = measured.table, measured.scale, measured.datasets
    published = any(row.published for row in table.rows)
    source = f"Published on {table.dataset}; reproduced" if published else "Run"
    if table.dataset and not published:
        source = f"The recipes are of {table.dataset}; run"
    found = [table.note] if table.note else []
    found += [
        f"Scale {scale.name}: {measured.description.rstrip('.')}.",
        f"{source} on {', '.join(used)}."
        if used
        else f"Published on {table.dataset}; nothing is reproduced here, for no run of this scale exists yet."
        if published
        else "No run of this scale exists yet.",
    ]
    if published and not scale.comparable:
        found.append(
            "Absolute numbers of this scale are not comparable with the published ones; a verdict compares only the "
            "sign of a difference."
        )
    found.append(
        "Reproduced: mean ± sample standard deviation over n seeds. Differences (Δ) are from the row's own baseline; "
        "ours are paired by seed, with their 95 % confidence intervals (Student's t; each for itself, not corrected "
        "for their number)."
    )
    baselines = _baselines(table)
    if baselines:
        found.append(f"Baselines: {baselines}.")
    if not published:
        return tuple(found)
    verdicts = (
        f"Verdict: {CONFIRMED} = our interval lies on the published side of 0; {CONTRADICTED} = "
        f"on the other side; {UNDECIDED} = it holds 0, or there are fewer than two pairs; {NOTHING} = "
        "nothing to compare."
    )
    levels = any(row.baseline is None and row.published for row in table.rows)
    if scale.comparable and table.tolerance is not None and levels:
        verdicts += f" A row without a baseline is compared by its level, with a tolerance of {float(table.tolerance)}."
    return (*found, verdicts)


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
