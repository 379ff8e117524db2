"""A comparison of two recipes as a terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from fasa.reporting.cells import NOTHING, SeedStatistics
from fasa.reporting.comparison import controls
from fasa.reporting.layout import interval, signed

if TYPE_CHECKING:
    from fasa.reporting.comparison import Compared
    from fasa.study import Study

DECIMALS = 2


def table(study: Study, base: str, mine: str, compared: Sequence[Compared]) -> Table:
    """A line for each measurement: both levels, the difference, and the best control's."""
    grid = Table(title=f"{mine} less {base} at scale {study.scale.name}, in per cent")
    for heading in ("", base, mine, "n", "difference [95 % CI]", "p", "verdict", "best control"):
        grid.add_column(heading, justify="left" if heading in ("", "verdict", "best control") else "right")
    for each in compared:
        found, gain = each.difference, each.headroom
        grid.add_row(
            each.label,
            _level(each.base),
            _level(each.mine),
            str(found.n if found else 0),
            f"{signed(found.mean, DECIMALS)} {interval(found, DECIMALS)}".rstrip() if found else NOTHING,
            NOTHING if each.p is None else f"{each.p:.3f}",
            each.verdict,
            f"{gain.row} {signed(gain.difference.mean, DECIMALS)} {interval(gain.difference, DECIMALS)}"
            if gain
            else NOTHING,
        )
    return grid


def remark(study: Study, base: str, mine: str, compared: Sequence[Compared]) -> str:
    """How to read it; and where no control tells of headroom, how to get one."""
    told = "Paired by seed; intervals and p are Student's, each for itself."
    if any(each.headroom for each in compared):
        return f"{told} No headroom: undecided, and not even the control whose interval begins highest gains anything."
    known = [recipe for recipe in controls(study, base) if recipe not in (base, mine)]
    mend = f"; run one with: fasa compare {base} {known[0]} --scale {study.scale.name}" if known else ""
    return f"{told} No control over '{base}' has two pairs with it, so nothing is known of headroom{mend}."


def _level(found: SeedStatistics) -> str:
    if found.mean is None:
        return NOTHING
    return f"{found.mean:.{DECIMALS}f}" + ("" if found.std is None else f" ± {found.std:.{DECIMALS}f}")
