"""Every line of ``fasa`` that a page shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from fasa.cli.main import parser

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / folder / "README.md" for folder in ("slurm", "benchmarks", "results/reference")),
]


def spelled_out(line: str) -> Iterator[str]:
    """``fasa status [--watch | --html]`` without, and with each of, what brackets leave to choose."""
    optional = re.search(r" \[([^][]*)\]", line)
    if optional is None:
        yield " ".join(line.split())
        return
    for choice in ("", *optional[1].split("|")):
        yield from spelled_out(f"{line[: optional.start()]} {choice.strip(' …')}{line[optional.end() :]}")


def shown() -> Iterator[str]:
    for page in PAGES:
        for line in re.findall(r"^(?:    )?fasa (\S.*)$", page.read_text(), re.MULTILINE):
            command = line.split(" #")[0].split(" > ")[0]
            if "`" not in command:  # else a sentence that begins so
                yield from spelled_out(command)


@pytest.mark.parametrize("line", sorted(set(shown())))
def test_a_line_that_is_shown_can_be_typed(line):
    assert parser().parse_args(shlex.split(line)).command


def test_many_are_shown():
    assert len(set(shown())) > 40
