"""The table of faults: what was tried on trainings and their files, and how each try ended.

Every test of a fault calls :func:`record`; ``python tests/fault_table.py FILE`` prints what a whole run of the tests
left in FILE, which the environment variable FASA_FAULT_TABLE names.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

COLUMNS = ("tried", "recovered", "refused", "lost")
HEADINGS = ("fault", "tried", "recovered bit-equal", "refused with a sentence", "lost")


def record(fault: str, tried: int, recovered: int = 0, refused: int = 0, lost: int = 0) -> None:
    """Add a line to the file that FASA_FAULT_TABLE names, if it does; every try ended in one of three ways."""
    assert tried == recovered + refused + lost, (fault, tried, recovered, refused, lost)
    if path := os.environ.get("FASA_FAULT_TABLE"):
        line = {"fault": fault, "tried": tried, "recovered": recovered, "refused": refused, "lost": lost}
        with Path(path).open("a") as stream:
            stream.write(json.dumps(line) + "\n")


def markdown(path: Path) -> str:
    """The table of the lines in ``path``: one row a fault, in the order of their first lines, and their sums."""
    rows: dict[str, list[int]] = {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        sums = rows.setdefault(line["fault"], [0] * len(COLUMNS))
        for n, column in enumerate(COLUMNS):
            sums[n] += line[column]
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    lines = [HEADINGS, ("---", *["---:"] * len(COLUMNS)), *((fault, *map(str, sums)) for fault, sums in rows.items())]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    print(markdown(Path(sys.argv[1])), end="")
