"""A claim's cells in words and figures, one by one and in brief."""

from __future__ import annotations

from collections.abc import Callable

from fasa.reporting.cells import NOTHING, UNDECIDED
from fasa.reporting.findings.evidence import NO_HEADROOM, Evidence, JudgedClaim, expected_sign
from fasa.reporting.layout import decimals, interval, minus, number, signed
from fasa.study.artifacts import Column, Row

MOST_COLUMNS = 3  # of a claim that the summary shows


def comparison_of(cell: Evidence) -> str:
    """What is compared with what: "FA − Baseline"."""
    if cell.over is not None:
        return f"{_name(cell.row)}: {cell.column.label} − {cell.over.label}"
    if cell.against is None:  # a number
        return _name(cell.row)
    other = cell.against.label if cell.row.group == cell.against.group else _name(cell.against)
    return f"{_name(cell.row)} {'over' if cell.is_ratio else '−'} {other}"


def claimed(cell: Evidence) -> str:
    """What the difference (of a level held against a number, the level) must be: "> 0"."""
    side = ">" if expected_sign(cell.check) > 0 else "<"
    if cell.check.than is not None:
        return f"{side} {cell.check.than:g}"
    if cell.is_ratio:
        return f"ratio of ± {side} 1"
    return minus(f"{side} {cell.bound:+g}" if cell.bound else f"{side} 0") + (" %" if cell.is_growth else "")


def column_of(column: Column) -> str:
    """A column's name, its group and its unit, but "%"."""
    name = f"{column.group}: {column.label}" if column.group else column.label
    return name if column.unit in ("%", "") else f"{name} ({column.unit})"


def published_levels(cell: Evidence) -> str:
    """What the paper prints of both: "8.0 → 12.7", from what is compared with."""
    if cell.published[0] is None:
        return NOTHING
    digits, sign = (2, "± ") if cell.is_ratio else (cell.column.decimals, "")
    levels = [value for value in reversed(cell.published) if value is not None]
    return " → ".join(f"{sign}{number(value, None, digits, digits)}" for value in levels)


def our_levels(cell: Evidence) -> str:
    """Our means ± standard deviations, in the same order."""
    ours, other = cell.ours
    digits = decimals(cell.column)
    if ours.mean is None:
        return NOTHING
    levels = [ours] if cell.check.than is not None else [other, ours]
    return " → ".join(number(one.mean, one.std, digits, digits) for one in levels)


def published_change(cell: Evidence) -> str:
    """The published difference, growth in per cent, or ratio."""
    return _change(cell, cell.published_difference, cell.column.decimals)


def our_change(cell: Evidence) -> str:
    """Our mean difference, growth or ratio, and its 95 % interval."""
    if cell.difference is None:
        return NOTHING
    ours = (cell.difference.mean, cell.difference.low, cell.difference.high)
    mean, low, high = (_change(cell, value, decimals(cell.column)) for value in ours)
    return mean if cell.difference.low is None else f"{mean} [{low}, {high}]"


def verdict(cell: Evidence) -> str:
    """The verdict, and where no side is proven the best control's own difference from its baseline."""
    if cell.control is None or cell.verdict not in (UNDECIDED, NO_HEADROOM):
        return cell.verdict
    digits, difference = decimals(cell.column), cell.control.difference
    gained = f"{signed(difference.mean, digits)} {interval(difference, digits)}, n = {difference.n}"
    return f"{cell.verdict} (best control: {cell.control.row.label} {gained})"


def p_values(cell: Evidence) -> str:
    """The p value, and in brackets Holm's; three digits where they matter, so that none is rounded across 0.05."""
    if cell.p is None or cell.adjusted is None:
        return NOTHING
    return f"{_probability(cell.p)} ({_probability(cell.adjusted)})"


def published_range(judged: JudgedClaim) -> str:
    """The published differences of a claim, column by column: one figure, or from the least to the largest."""

    def brief(cells: list[Evidence]) -> str:
        values = [cell.published_difference for cell in cells if cell.published_difference is not None]
        return _range(cells[0], values, cells[0].column.decimals)

    return _by_column(judged, brief)


def our_range(judged: JudgedClaim) -> str:
    """Ours of the same cells; of what is held against a number the level itself."""

    def brief(cells: list[Evidence]) -> str:
        digits = decimals(cells[0].column)
        if cells[0].check.than is None:
            return _range(cells[0], [cell.difference.mean for cell in cells if cell.difference is not None], digits)
        levels = [cell.ours[0].mean for cell in cells if cell.n and cell.ours[0].mean is not None]
        if not levels:
            return NOTHING
        return " … ".join(dict.fromkeys(number(value, None, digits, digits) for value in (min(levels), max(levels))))

    return _by_column(judged, brief)


def seeds_range(judged: JudgedClaim) -> str:
    """The seeds that a claim's cells were compared over: "3" or "1–3"."""
    counts = sorted({cell.n for cell in judged.evidence if cell.n})
    return f"{counts[0]}–{counts[-1]}" if len(counts) > 1 else "".join(map(str, counts)) or NOTHING


def _by_column(judged: JudgedClaim, brief: Callable[[list[Evidence]], str]) -> str:
    columns: dict[str, list[Evidence]] = {}
    for cell in judged.evidence:
        columns.setdefault(cell.column.key, []).append(cell)
    parts = []
    for cells in list(columns.values())[:MOST_COLUMNS]:
        text, column = brief(cells), cells[0].column
        name = f"{column.group} {column.label} ".lstrip() if len(cells[0].table.columns) > 1 else ""
        parts += [name + text] if text != NOTHING else []
    return "; ".join(parts) + (" …" if len(columns) > MOST_COLUMNS else "") if parts else NOTHING


def _range(cell: Evidence, values: list[float], digits: int) -> str:
    if not values:
        return NOTHING
    ends = dict.fromkeys(_change(cell, value, digits) for value in (min(values), max(values)))
    unit = "" if cell.column.unit in ("%", "") or cell.is_growth or cell.is_ratio else f" {cell.column.unit}"
    return f"{' … '.join(ends)}{unit}"


def _change(cell: Evidence, value: float | None, digits: int) -> str:
    """A difference in the column's unit, a growth in per cent, or a ratio."""
    if cell.is_ratio and value is not None:
        return f"× {value:.2f}"
    return f"{signed(value, 1)} %" if cell.is_growth and value is not None else signed(value, digits)


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.{3 if p < 0.1 else 2}f}"


def _name(row: Row) -> str:
    return f"{row.group}: {row.label}" if row.group else row.label
