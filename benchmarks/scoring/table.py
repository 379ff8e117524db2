"""The tables of what ``python -m benchmarks.scoring --write`` measured: README.md, docs/score.md, benchmarks/README.md.

python -m benchmarks.scoring.table      makes them again
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fasa import atomic

ROOT = Path(__file__).parents[2]
MEASURED = Path(__file__).with_name("measured.json")
NAMES = {
    "lvis-segm": "LVIS AP, masks",
    "lvis-bbox": "LVIS AP, boxes",
    "coco-segm": "COCO AP, masks",
    "coco-bbox": "COCO AP, boxes",
    "tide": "TIDE, masks",
}
PACKAGES = ("lvis", "pycocotools", "faster-coco-eval", "hotcoco", "tidecv", "numpy")
REFERENCES = ("lvis-api", "pycocotools", "tidecv")
COLUMNS = ("official tool", "faster-coco-eval", "hotcoco", "fasa, first time", "fasa", "fasa, .npz")
HEAD = f"| | images | {' | '.join(COLUMNS)} | fasa / fastest other | memory | apart |"
BEGIN, END = "<!-- scoring: made by python -m benchmarks.scoring.table -->", "<!-- scoring ends -->"


def rows(measured: Sequence[dict[str, Any]]) -> list[str]:
    """A line of the long table for each comparison: CPU seconds and MB, ratios of both, largest difference of ours."""
    lines = []
    for row in measured:
        costs = _costs(row)
        cells = [
            f"{costs[name]['cpu']:.2f} s, {costs[name]['peak']:,.0f} MB" if name in costs else "" for name in COLUMNS
        ]
        cpu, peak = ratios(row)
        apart = max(value for name, value in row["apart"].items() if name.startswith("fasa"))
        lines.append(
            f"| {NAMES[row['kind']]} | {row['images']:,} | {' | '.join(cells)} | {cpu:.2f} | {peak:.2f} | {apart:.0e} |"
        )
    return lines


def _costs(row: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What each tool took, by its column."""
    return {("official tool" if name in REFERENCES else name): cost for name, cost in row["costs"].items()}


def ratios(row: dict[str, Any]) -> tuple[float, float]:
    """Our CPU seconds and memory, annotations cached, over those of the tool that needs the least of each."""
    others = [cost for name, cost in row["costs"].items() if not name.startswith("fasa")]
    ours = row["costs"]["fasa"]
    return ours["cpu"] / min(cost["cpu"] for cost in others), ours["peak"] / min(cost["peak"] for cost in others)


def tables() -> dict[Path, str]:
    """The text between the marks, by file."""
    measured = json.loads(MEASURED.read_text())
    rule = "|---|---:|" + "---:|" * (len(COLUMNS) + 3)
    versions = ", ".join(f"{name} {number}" for name, number in measured["versions"].items())
    long = "\n".join([f"{measured['machine']}; {versions}.\n", HEAD, rule, *rows(measured["rows"])])
    return {
        ROOT / "benchmarks/README.md": long,
        ROOT / "docs/score.md": _short(measured["rows"]),
        ROOT / "README.md": _short([row for row in measured["rows"] if set(REFERENCES) & set(row["costs"])]),
    }


def _short(measured: Sequence[dict[str, Any]]) -> str:
    """CPU seconds alone, of the tools that papers are scored with, of the fastest other, and of ours."""
    tools = ("official tool", "hotcoco", "fasa", "fasa, .npz")
    lines = [f"| | images | {' | '.join(tools)} |", f"|---|---:|{'---:|' * len(tools)}"]
    for row in measured:
        costs = _costs(row)
        cells = [f"{costs[name]['cpu']:.1f} s" if name in costs else "" for name in tools]
        lines.append(f"| {NAMES[row['kind']]} | {row['images']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def keep(row: dict[str, Any]) -> None:
    """Put a comparison in the place of an earlier one of its kind and size, and make the tables anew."""
    earlier = json.loads(MEASURED.read_text())["rows"] if MEASURED.exists() else []
    same = (row["kind"], row["images"])
    rows = [other for other in earlier if (other["kind"], other["images"]) != same] + [row]
    rows.sort(key=lambda other: (list(NAMES).index(other["kind"]), other["images"]))
    here = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    versions = {name: version(name) for name in PACKAGES}
    atomic.write_json(MEASURED, {"machine": here, "versions": versions, "rows": rows})
    update()


def update() -> None:
    """Put the tables where they belong."""
    for path, table in tables().items():
        text = path.read_text()
        before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
        path.write_text(f"{before}\n{table}\n{after}")


if __name__ == "__main__":
    update()
