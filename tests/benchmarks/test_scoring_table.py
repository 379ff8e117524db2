"""The tables of speed in README.md, docs/score.md and benchmarks/README.md are those of what was measured last."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.scoring import table


def test_the_tables_are_those_of_the_measurement():
    for path, text in table.tables().items():
        written = path.read_text()
        between = written[written.index(table.BEGIN) + len(table.BEGIN) : written.index(table.END)]
        assert between.strip() == text.strip(), f"{path}: run python -m benchmarks.scoring.table"


def test_ratios_are_to_the_cheapest_of_the_others():
    measured = json.loads(table.MEASURED.read_text())["rows"]
    for row in measured:
        cpu, peak = table.ratios(row)
        others = [cost for name, cost in row["costs"].items() if not name.startswith("fasa")]
        assert all(cpu >= row["costs"]["fasa"]["cpu"] / cost["cpu"] for cost in others)
        assert all(peak >= row["costs"]["fasa"]["peak"] / cost["peak"] for cost in others)
        assert max(value for name, value in row["apart"].items() if name.startswith("fasa")) < 1e-12 or not official(
            row
        )


def official(row: dict[str, Any]) -> bool:
    """Whether the official tool was run, too: what stands in for it is not exact."""
    return bool(set(row["costs"]) & set(table.REFERENCES))
