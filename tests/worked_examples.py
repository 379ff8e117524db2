"""The worked examples of a page, followed to the letter in a copy of the repository's code and configs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from itertools import groupby
from pathlib import Path

from checkout import copy_to

BLOCK = re.compile(
    r"(?:<!-- after: (?P<after>[^\n]+) -->\n)?<!-- (?:file: (?P<file>\S+)|run) -->\n```\w+\n(?P<text>.*?)```\n",
    re.DOTALL,
)
# The commands of a block, one after another in a process that imports torch once.
FASA = """
import shlex, sys
from fasa.cli import main
for line in sys.argv[1:]:
    program, *arguments = shlex.split(line)
    assert program == "fasa" and main(arguments) == 0, line
"""


def follow(page: Path, folder: Path) -> dict[str, str]:
    """Write the files of ``page`` into ``folder`` and run its commands there; what each of them printed.

    What ``pip`` installs goes into ``folder/site``, without a look at the network.
    """
    copy_to(folder)
    offline = {
        "PIP_TARGET": str(folder / "site"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
    }
    python_path = os.pathsep.join([str(folder), str(folder / "site")])
    environment = {**os.environ, **offline, "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    printed = {}
    for block in BLOCK.finditer(page.read_text()):
        if block["file"]:
            write(folder / block["file"], block["text"], block["after"])
            continue
        for program, some in groupby(block["text"].splitlines(), key=lambda line: line.split()[0]):
            lines = list(some)
            for command in _processes(program, lines):
                done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
                assert done.returncode == 0, f"{lines}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
                printed["\n".join(lines)] = done.stdout
    return printed


def write(path: Path, text: str, after: str | None) -> None:
    """A new file, or lines put in after the line that begins with ``after``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if after is None:
        assert not path.exists()
        path.write_text(text)
        return
    lines = path.read_text().splitlines(keepends=True)
    place = [line.rstrip("\n") for line in lines].index(after)
    path.write_text("".join([*lines[: place + 1], text, *lines[place + 1 :]]))


def _processes(program: str, lines: list[str]) -> list[list[str]]:
    if program == "fasa":
        return [[sys.executable, "-c", FASA, *lines]]
    python = {"pip": [sys.executable, "-m", "pip"], "python": [sys.executable]}
    return [[*python.get(program, [program]), *shlex.split(line)[1:]] for line in lines]
