"""The progress bar around Snakemake: what it lets through and what it shows of a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/with_progress.py"


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_steps_are_counted_and_all_words_are_kept(tmp_path):
    done = run(tmp_path, "print('total   2'); print('1 of 2 steps (50%) done'); print('2 of 2 steps (100%) done')")
    assert done.returncode == 0
    assert "2 of 2 steps" in done.stdout and "Done:" in done.stdout
    assert (tmp_path / "logs/snakemake.log").read_text().count("steps") == 2


def test_the_plan_is_told_before_the_first_step(tmp_path):
    done = run(tmp_path, "print('Plan: 3 runs to train'); print('total   2'); print('2 of 2 steps (100%) done')")
    assert done.stdout.index("Plan: 3 runs to train") < done.stdout.index("2 of 2 steps")


def test_a_failure_passes_its_status_and_its_last_words_on(tmp_path):
    done = run(tmp_path, "import sys; print('Error in rule train'); sys.exit(3)")
    assert done.returncode == 3
    assert "Error in rule train" in done.stderr and "logs/snakemake.log" in done.stderr
    assert "Done:" not in done.stdout
