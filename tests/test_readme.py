"""What the README says, tried."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fasa.cli import main
from fasa.study import load_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_library_example_runs_as_it_stands():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tensor([")


def test_its_figures_are_those_of_the_kept_tables():
    folder = ROOT / "results/reference/mini/tables"
    kept = (folder / "ablation.md").read_text().splitlines()
    rows = [line for line in README.splitlines() if line.startswith("|") and "±" in line]
    assert len(rows) >= 3 and not [row for row in rows if row not in kept]


def test_every_link_and_picture_is_there():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    headings = {
        re.sub(r"[^a-z0-9]+", "-", line.lstrip("# ").lower()) for line in README.splitlines() if line[:1] == "#"
    }
    for link in links:
        file, _, heading = link.partition("#")
        assert (ROOT / file).exists() and (file or heading in headings), link


def test_every_target_it_names_exists():
    users = load_study(ROOT).artifacts()
    named = re.findall(r"(?:table|figure)_(\w+)", README)
    assert named and all(name in users for name in named)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    fasa (\w+)", README, re.MULTILINE))))
def test_every_command_it_names_has_help(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert len(capsys.readouterr().out) > 200
