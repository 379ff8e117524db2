"""The CUDA paths of the project on a pretended device; each group of scenarios has a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pretended_cuda import guard
from pretended_cuda.kinds import OTHERS, RECIPES
from pretended_cuda.scenarios import detector_faults, detectors

from fasa.study import Study, load_study

ROOT = Path(__file__).parents[2]
KINDS = ("detector", "sampler", "stage_two", "calibrated", "nms_resampling")
NOT_CAPTURED = {"ldam_m2m", "ce_r34_chu", "moex"}  # their shapes follow from what is drawn

reason = guard.reason_to_skip()


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(ROOT, "smoke")


def run(group: str, *names: str) -> dict[str, dict[str, Any]]:
    """What each scenario found; none failed but where a mistake was planted, and that as it must."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.run(
        [sys.executable, "-m", "pretended_cuda.run", group, *names],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    found = {line["name"]: line for line in map(json.loads, process.stdout.splitlines())}
    wrong = {
        name: line["error"] or f"nothing caught it, but should: {line['expected']}"
        for name, line in found.items()
        if not (re.search(line["expected"], line["error"]) if line["expected"] else not line["error"])
    }
    assert found and not wrong, "\n".join(
        [*(f"{name}: {error}" for name, error in wrong.items()), process.stderr[-3000:]]
    )
    return found


def kinds_of(recipe: Any) -> set[tuple[str, Any]]:
    parts = {("augmenter", recipe.augmenter.name), ("loss", recipe.loss.name), ("data", recipe.data.name)}
    return parts | {(name, getattr(recipe, name)) for name in KINDS}


def test_the_detectors_that_are_tried_are_of_every_kind(study):
    every = [recipe for name, recipe in study.recipes.items() if recipe.kind == "detector"]
    tried = set().union(*(kinds_of(study.recipes[name]) for name in RECIPES))
    assert set().union(*map(kinds_of, every)) == tried


@pytest.mark.slow
@pytest.mark.skipif(bool(reason), reason=reason)
def test_classifiers(study):
    found = run("classifiers")
    every = {name for name in study.resolved if study.task(name).name == "classification"}
    recipes = set(found["every recipe"]["recipes"])
    assert recipes >= every and set(found["every recipe"]["captured"]) == recipes - NOT_CAPTURED
    # Four epochs of batches of 32, 32 and 7; the rate drops in the last. Three steps of each size come first.
    assert (found["graphed is eager"]["captures"], found["graphed is eager"]["replays"]) == (3, 6)
    assert "is of a training on cpu" in found["checkpoint of the cpu"]["refused"]


@pytest.mark.slow
@pytest.mark.skipif(bool(reason), reason=reason)
def test_mistakes_in_classifiers_are_caught():
    assert sum(bool(line["expected"]) for line in run("classifier_faults").values()) >= 10


@pytest.mark.slow
@pytest.mark.skipif(bool(reason), reason=reason)
@pytest.mark.parametrize("part", ["of which others start", "others"])
def test_detectors(part):
    if part == "others":
        names = OTHERS
    else:
        names = [name for name in [*detectors.SCENARIOS, *detector_faults.SCENARIOS] if name not in OTHERS]
    assert set(run("detectors", *names)) == set(names)
