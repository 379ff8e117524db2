"""Our figures beside the official ones, as text."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from fasa.evaluation.score.report import say
from fasa.evaluation.score.results import FileScores
from fasa.evaluation.score.table import ABSENT
from fasa.evaluation.score.verification import Comparison


def print_comparisons(console: Console, files: Sequence[FileScores]) -> None:
    """Print a table for each file: AP as fractions, TIDE in points; and the largest differences."""
    for file in files:
        say(console, f"\n{file.label}: beside the official tools", style="bold")
        for tool in dict.fromkeys(c.tool for c in file.comparisons):
            mine = [c for c in file.comparisons if c.tool == tool]
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
            table.add_column("", overflow="fold")
            for heading in ("ours", tool, "difference"):
                table.add_column(heading, justify="right", overflow="fold")
            for c in mine:
                table.add_row(
                    c.metric, _figure(c.ours), _figure(c.official), _gap(c), style=None if c.equal else "bold red"
                )
            console.print(table)
            worst = max(mine, key=lambda c: c.difference)
            wrong = sum(not c.equal for c in mine)
            verdict = f"{wrong} of {len(mine)} figures differ" if wrong else f"all {len(mine)} figures agree"
            say(console, f"{tool}: {verdict}; the largest difference is {_gap(worst)} ({worst.metric}).")


def _figure(value: float | None) -> str:
    if value is None:
        return ABSENT
    return str(value) if isinstance(value, int) else f"{value:.12f}"


def _gap(comparison: Comparison) -> str:
    return f"{comparison.difference:.2g}"
