"""What the README says, tried."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fasa.cli import main
from fasa.study import load_study
from fasa.study.cost import run_plans

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SHOWN = "\n".join([README, *(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))])
SCALES = re.findall(r"^\| `(\w+)`(?:, (Table 7))? \| ([\d,]+) \|", README, re.MULTILINE)


def test_the_library_example_runs_as_it_stands():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tensor([")


def test_the_figures_of_the_kept_results_are_those_of_their_tables():
    folder = ROOT / "results/reference"
    kept = (folder / "mini/tables/ablation.md").read_text().splitlines()
    rows = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("|") and "±" in line]
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
    named = re.findall(r"\b(?:table|figure)_(\w+)", README + (ROOT / "docs/reproduce.md").read_text())
    assert named and all(name in users for name in named)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    fasa (\w+)", SHOWN, re.MULTILINE))))
def test_every_command_it_names_has_help(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert len(capsys.readouterr().out) > 200


@pytest.mark.parametrize(("scale", "table", "runs"), SCALES)
def test_the_runs_of_a_scale_are_those_of_its_plan(scale, table, runs):
    study = load_study(ROOT, scale)
    names = ["cifar_lt"] if table else list(study.default_artifacts())
    planned = {run for plan in run_plans(study, names).values() for run in (each.run for each in plan)}
    assert len(planned) == int(runs.replace(",", ""))


def test_every_scale_has_its_costs():
    assert {scale for scale, *_ in SCALES} == {"smoke", "mini", "tail", "proxy", "paper"}


def test_what_reproduce_trains_is_said(tmp_path):
    for part in ("Snakefile", "workflow", "configs", "profiles", "fasa"):
        (tmp_path / part).symlink_to(ROOT / part)
    command = ["snakemake", "-n", "--cores", "1", "reproduce"]
    planned = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr
    (runs,) = set(re.findall(r"^train +(\d+)$", planned.stdout + planned.stderr, re.MULTILINE))
    study = load_study(ROOT)
    everything = {each.run for each in run_plans(study, list(study.default_artifacts()))["all"]}
    assert f"trains {runs} of the {len(everything)} runs" in " ".join(README.split())
