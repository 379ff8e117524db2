"""A short real training on CIFAR-100-LT: minutes on a CPU, far from the paper's schedule, well above chance."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from fasa.cli import main

SOURCE = Path(os.environ.get("FASA_TEST_DATA", "")) / "cifar100"
CHANCE = 0.01
SCALE = {
    "description": "Four epochs of a small network on the real images.",
    "classification": {
        "seeds": [0],
        "epochs": 0.02,
        "backbones": {"resnet34": {"blocks": [1, 1, 1], "width": 16}},
        "evaluate_every": 2,
    },
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("FASA_TEST_DATA"), reason="FASA_TEST_DATA names no folder with cifar100/"),
]


def test_accuracy_rises_clearly_above_chance(tmp_path, monkeypatch):
    shutil.copytree(Path(__file__).parents[2] / "configs", tmp_path / "configs")
    (tmp_path / "configs/scales/short.yaml").write_text(yaml.safe_dump(SCALE))
    monkeypatch.chdir(tmp_path)
    assert main(["data", "ce_r34_fasa", "--scale", "short", "--source", str(SOURCE)]) == 0
    assert main(["train", "ce_r34_fasa", "--scale", "short", "--device", "cpu"]) == 0
    assert main(["evaluate", "ce_r34_fasa", "--scale", "short", "--device", "cpu"]) == 0
    metrics = json.loads((tmp_path / "results/short/runs/ce_r34_fasa/seed-0/metrics.json").read_text())
    assert sum(metrics["class_counts"]) == 10_847 and metrics["dataset"] == "cifar100_lt"
    early, last = (value for value in metrics["measurements"]["learning_curve"]["accuracy"] if value is not None)
    print(f"accuracy {early:.3f} after 2 epochs, {last:.3f} after 4")
    assert early > 3 * CHANCE and last > 6 * CHANCE and last > early
    trajectory = metrics["measurements"]["sampling_trajectory"]["probabilities"]
    assert len(trajectory) == 4 and trajectory[0][99] > 0.04  # eq 4: (1/5) / sum(1/N)
    assert trajectory[-1] != trajectory[0]
