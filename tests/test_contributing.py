"""The worked examples of CONTRIBUTING.md, followed to the letter in a copy of the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mmdet")

ROOT = Path(__file__).parents[1]
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


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The copy after all files were written and all commands were run."""
    folder = tmp_path_factory.mktemp("contributing")
    for part in ("fasa", "configs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.pyc.*", "*.tmp.*"))
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    commands = []
    for block in BLOCK.finditer((ROOT / "CONTRIBUTING.md").read_text()):
        if block["file"]:
            write(folder / block["file"], block["text"], block["after"])
            continue
        lines = block["text"].splitlines()
        command = [sys.executable, "-c", FASA, *lines]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{lines}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        commands += lines
    assert len(commands) >= 12
    return folder


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


@pytest.mark.slow
def test_an_augmenter_joins_a_classifier_and_a_detector(followed):
    for recipe in ("ldam_class_means", "rfs_class_means"):
        assert (followed / f"work_dirs/smoke/{recipe}/seed-0/model.pt").exists()
    assert "Class means" in (followed / "results/smoke/tables/adaptation_unit.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "dataset"), [("stripes", "stripes_lt"), ("pixels", "digits_lt")])
def test_a_data_set_and_a_task_are_run_to_their_measurements(followed, scale, dataset):
    metrics = json.loads((followed / f"results/{scale}/runs/ce/seed-0/metrics.json").read_text())
    assert metrics["dataset"] == dataset
    assert 0 <= metrics["measurements"]["accuracy"]["last"] <= 1


@pytest.mark.slow
def test_a_task_without_a_network_reads_digits(followed):
    metrics = json.loads((followed / "results/pixels/runs/ce/seed-0/metrics.json").read_text())
    assert metrics["measurements"]["accuracy"]["last"] > 0.5  # of ten classes
