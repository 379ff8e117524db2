"""kill -9 at any moment of a real training: the table that comes out of it in the end has the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import yaml

from fasa.experiments import Study, load_study

REPOSITORY = Path(__file__).parents[1]
RECIPE, SEED = "ldam_fasa", 0
KILLS = {"start": 5, "step": 8, "write": 7}
EPOCHS = 100  # a kill in the steps or in writing comes some 2 epochs after a start, so the run outlives them all
COST = ("device_seconds", "cost")


class Pace(NamedTuple):
    """Seconds from the start to the first checkpoint, and of an epoch; kills are placed by them."""

    startup: float
    epoch: float


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fasa", *arguments, "--scale", "kill"]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}


def fasa(root: Path, *arguments: str) -> None:
    subprocess.run(command(*arguments), cwd=root, env=environment(), check=True, stdout=subprocess.DEVNULL)


def training(root: Path) -> subprocess.Popen:
    arguments = command("train", RECIPE, "--seed", str(SEED), "--device", "cpu")
    return subprocess.Popen(arguments, cwd=root, env=environment(), stdout=subprocess.DEVNULL)


def newest(folder: Path) -> str:
    return max((path.name for path in folder.glob("epoch-*.pt")), default="")


def wait_for(moment: str, process: subprocess.Popen, folder: Path, chance: random.Random, pace: Pace) -> None:
    """Return at a random instant of ``moment``, or when the process ended before it.

    ``start``: while modules load and the checkpoint is read. ``step``: somewhere in the epochs after a first new
    checkpoint. ``write``: while one is being written, which its temporary file gives away.
    """
    if moment == "start":
        time.sleep(chance.uniform(0, pace.startup))
        return
    known = newest(folder)
    while process.poll() is None and newest(folder) == known:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 2 * pace.epoch))
    while moment == "write" and process.poll() is None and not any(folder.glob(".*.tmp")):
        pass


def outcome(study: Study) -> tuple[dict, dict, dict[str, bytes]]:
    """Weights, measurements less what they cost, and the table's files."""
    fasa(study.root, "evaluate", RECIPE, "--seed", str(SEED), "--device", "cpu")
    fasa(study.root, "render", "cifar_lt")
    weights = torch.load(study.work_dir(RECIPE, SEED) / "model.pt", weights_only=True)
    metrics = json.loads(study.metrics_path(RECIPE, SEED).read_text())
    measurements = metrics.pop("measurements")
    metrics["measurements"] = {key: value for key, value in measurements.items() if key not in COST}
    tables = {kind: path.read_bytes() for kind, path in study.table_paths("cifar_lt").items()}
    return weights, {key: value for key, value in metrics.items() if key not in COST}, tables


def make_study(root: Path) -> Study:
    smoke = yaml.safe_load((REPOSITORY / "configs/scales/smoke.yaml").read_text())
    recipes = REPOSITORY / "configs"
    for path in recipes.rglob("*.yaml"):
        copy = root / "configs" / path.relative_to(recipes)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    scale = {**smoke, "epochs": EPOCHS / 200, "seeds": [SEED], "checkpoint_seconds": 0}
    (root / "configs/scales/kill.yaml").write_text(yaml.safe_dump(scale))
    study = load_study(root, "kill")
    fasa(root, "data", RECIPE)
    return study


@pytest.mark.slow
def test_a_run_killed_twenty_times_gives_the_same_table(tmp_path):
    undisturbed, killed = make_study(tmp_path / "undisturbed"), make_study(tmp_path / "killed")
    started = time.monotonic()
    process = training(undisturbed.root)
    folder = undisturbed.checkpoint_dir(RECIPE, SEED)
    while process.poll() is None and not newest(folder):
        time.sleep(0.01)
    startup = time.monotonic() - started
    assert process.wait() == 0
    pace = Pace(startup, (time.monotonic() - started - startup) / EPOCHS)

    chance = random.Random(0)
    moments = [moment for moment, times in KILLS.items() for _ in range(times)]
    chance.shuffle(moments)
    folder = killed.checkpoint_dir(RECIPE, SEED)
    hits, reached = Counter(), []
    for moment in moments:
        process = training(killed.root)
        wait_for(moment, process, folder, chance, pace)
        process.send_signal(signal.SIGKILL)  # nothing, if it has ended
        if process.wait() == -signal.SIGKILL:
            hits[moment] += 1
        reached.append(newest(folder))
    print(f"kills that hit: {dict(hits)}; checkpoints after each: {reached}")
    assert sum(hits.values()) >= 15
    assert set(hits) == set(KILLS)
    assert reached == sorted(reached)  # no kill ever costs an epoch that was saved

    assert training(killed.root).wait() == 0
    ours, expected = outcome(killed), outcome(undisturbed)
    assert ours[0]["state"].keys() == expected[0]["state"].keys()
    for key, value in expected[0]["state"].items():
        assert torch.equal(ours[0]["state"][key], value), key
    assert ours[1] == expected[1]
    assert ours[2] == expected[2]
    assert b"LDAM-DRW + FASA" in expected[2]["md"]
    assert not list(killed.work_dir(RECIPE, SEED).rglob(".epoch-*.tmp"))
