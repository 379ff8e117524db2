"""The table at the end, and a sentence for each thing that failed: on the screen, and as OUT/summary.txt."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.gpu.lines import Lines
from benchmarks.gpu.plan import Part

WIDTH = 120  # where the output is no terminal


def show(parts: list[Part], out: Path, waiting: dict[str, str], title: str) -> list[str]:
    """Print what every part found; the sentences of what failed.

    ``waiting`` says of parts that were not begun why not.
    """
    console = Console(highlight=False, record=True, width=None if sys.stdout.isatty() else WIDTH)
    lines, failures = Lines(out), []
    table = Table("part", "", "seconds", "found", show_lines=True)
    for part in parts:
        failed = [f"{part.name}: {sentence}" for sentence in lines.failures(part.name)]
        failures += failed
        ended = [line["seconds"] for line in lines.of(part.name) if "ended" in line]
        state = "failed" if failed else "done" if lines.finished(part.name) else "begun" if ended else "not run"
        found = [*lines.told(part.name), *([waiting[part.name]] if part.name in waiting else [])]
        table.add_row(part.name, state, f"{sum(ended):.0f}" if ended else "", "\n".join(found))
    console.print(table)
    console.print(title, markup=False)
    for sentence in failures:
        console.print(f"failed: {sentence}", markup=False, soft_wrap=True)
    console.save_text(str(out / "summary.txt"))
    return failures
