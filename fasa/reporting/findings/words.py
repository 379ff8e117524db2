"""Figures and names of a claim's cells as the findings print them."""

from __future__ import annotations

from collections.abc import Callable

from fasa.reporting.comparison import NOTHING
from fasa.reporting.entries import decimals, minus, number
from fasa.reporting.findings.evidence import Evidence, Finding, expected_sign
from fasa.study.artifacts import Column, Row

MOST_COLUMNS = 3  # of a claim that the summary shows


def comparison_of(cell: Evidence) -> str:
    """What is compared with what: "FA − Baseline"."""
    if cell.check.than is not None:
        return _name(cell.row)
    if cell.over is not None:
        return f"{_name(cell.row)}: {cell.column.label} − {cell.over.label}"
    shared = cell.row.group == cell.against.group
    other = cell.against.label if shared else _name(cell.against)
    return f"{_name(cell.row)} − {other}"


def claimed(cell: Evidence) -> str:
    """What the difference (of a level held against a number, the level) must be: "> 0"."""
    side = ">" if expected_sign(cell.check) > 0 else "<"
    if cell.check.than is not None:
        return f"{side} {cell.check.than:g}"
    return minus(f"{side} {cell.bound:+g}" if cell.bound else f"{side} 0") + (" %" if _grows(cell) else "")


def column_of(column: Column) -> str:
    """A column's name, its group and its unit, but "%"."""
    name = f"{column.group}: {column.label}" if column.group else column.label
    return name if column.unit in ("%", "") else f"{name} ({column.unit})"


def published_levels(cell: Evidence) -> str:
    """What the paper prints of both: "8.0 → 12.7", from what is compared with."""
    if cell.published[0] is None:
        return NOTHING
    digits = cell.column.decimals
    levels = [number(value, None, digits, digits) for value in reversed(cell.published) if value is not None]
    return " → ".join(levels)


def our_levels(cell: Evidence) -> str:
    """Our means ± standard deviations, in the same order."""
    ours, other = cell.ours
    digits = decimals(cell.column)
    if ours.mean is None:
        return NOTHING
    levels = [ours] if cell.check.than is not None else [other, ours]
    return " → ".join(number(one.mean, one.std, digits, digits) for one in levels)


def published_change(cell: Evidence) -> str:
    """The published difference, or growth in per cent."""
    return _signed(cell.published_difference, 1 if _grows(cell) else cell.column.decimals, _grows(cell))


def our_change(cell: Evidence) -> str:
    """Our mean difference and its 95 % interval."""
    if cell.difference is None:
        return NOTHING
    digits, grows = _our_digits(cell), _grows(cell)
    told = _signed(cell.difference.mean, digits, grows)
    if cell.difference.low is None:
        return told
    return f"{told} [{_signed(cell.difference.low, digits, grows)}, {_signed(cell.difference.high, digits, grows)}]"


def p_values(cell: Evidence) -> str:
    """The p value, and in brackets Holm's; three digits where they matter, so that none is rounded across 0.05."""
    if cell.p is None:
        return NOTHING
    return f"{_probability(cell.p)} ({_probability(cell.adjusted)})"


def published_range(finding: Finding) -> str:
    """The published differences of a claim, column by column: one figure, or from the least to the largest."""
    return _by_column(finding, _published_in_brief)


def our_range(finding: Finding) -> str:
    """Ours of the same cells; of what is held against a number the level itself."""
    return _by_column(finding, _ours_in_brief)


def seeds_range(finding: Finding) -> str:
    """The seeds that a claim's cells were compared over: "3" or "1–3"."""
    counts = sorted({cell.n for cell in finding.evidence if cell.n})
    return f"{counts[0]}–{counts[-1]}" if len(counts) > 1 else "".join(map(str, counts)) or NOTHING


def _by_column(finding: Finding, told: Callable[[list[Evidence]], str]) -> str:
    columns: dict[str, list[Evidence]] = {}
    for cell in finding.evidence:
        columns.setdefault(cell.column.key, []).append(cell)
    parts = []
    for cells in list(columns.values())[:MOST_COLUMNS]:
        text, column = told(cells), cells[0].column
        name = f"{column.group} {column.label} ".lstrip() if len(cells[0].table.columns) > 1 else ""
        parts += [name + text] if text != NOTHING else []
    return "; ".join(parts) + (" …" if len(columns) > MOST_COLUMNS else "") if parts else NOTHING


def _published_in_brief(cells: list[Evidence]) -> str:
    values = [cell.published_difference for cell in cells if cell.published_difference is not None]
    return _range(cells[0], values, 1 if _grows(cells[0]) else cells[0].column.decimals)


def _ours_in_brief(cells: list[Evidence]) -> str:
    if cells[0].check.than is not None:
        levels = [cell.ours[0].mean for cell in cells if cell.check.than is not None and cell.n]
        digits = decimals(cells[0].column)
        ends = dict.fromkeys(number(value, None, digits, digits) for value in (min(levels), max(levels)))
        return " … ".join(ends)
    values = [cell.difference.mean for cell in cells if cell.difference is not None]
    return _range(cells[0], values, _our_digits(cells[0]))


def _range(cell: Evidence, values: list[float], digits: int) -> str:
    if not values:
        return NOTHING
    ends = dict.fromkeys(_signed(value, digits, _grows(cell)) for value in (min(values), max(values)))
    unit = "" if cell.column.unit in ("%", "") or _grows(cell) else f" {cell.column.unit}"
    return f"{' … '.join(ends)}{unit}"


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.{3 if p < 0.1 else 2}f}"


def _our_digits(cell: Evidence) -> int:
    return 1 if _grows(cell) else decimals(cell.column)


def _grows(cell: Evidence) -> bool:
    return cell.check.percent is not None


def _signed(value: float | None, digits: int, per_cent: bool = False) -> str:
    return NOTHING if value is None else minus(f"{value:+.{digits}f}") + (" %" if per_cent else "")


def _name(row: Row) -> str:
    return f"{row.group}: {row.label}" if row.group else row.label
