"""A detector trained by two processes, by the command: the weights that one gives, or why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from fasa.cli import main
from fasa.evaluation.arrays import cores
from fasa.study import Study, load_study

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(cores() < 2, reason="two processes need two cores"),
    pytest.mark.skipif(sys.platform != "linux", reason="chooses cores and looks for processes as Linux has them"),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """The scale smoke, for two devices and an epoch more."""
    root = tmp_path_factory.mktemp("processes")
    shutil.copytree(ROOT / "configs", root / "configs")
    scale = root / "configs/scales/smoke.yaml"
    content = yaml.safe_load(scale.read_text())
    content["detection"] |= {"devices": 2, "epochs": 0.25}
    content["detection"]["schedule"]["batch_size"] = 4  # as many steps as with all scenes in batches of eight
    content["detection"]["data"]["lvis"]["options"]["train_images"] = 12
    scale.write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["data", "mask_rcnn", "--scale", "smoke"]) == 0
    return load_study(root, "smoke")


def start(study: Study, recipe: str, allowed: set[int]) -> subprocess.Popen:
    """Start a training that may use the cores ``allowed``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.Popen(
        [sys.executable, "-m", "fasa", "train", recipe, "--seed", "0", "--scale", "smoke"],
        cwd=study.root,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )


def train(study: Study, recipe: str, processes: int = 2) -> tuple[dict[str, torch.Tensor], str]:
    """Train to the end: the weights, and what is told on the way."""
    process = start(study, recipe, set(sorted(os.sched_getaffinity(0))[:processes]))
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told
    folder = study.work_dir(recipe, 0)
    assert json.loads((folder / "cost.json").read_text())["devices"] == processes
    return torch.load(folder / "model.pt", weights_only=True)["state_dict"], told


def test_two_processes_give_the_weights_of_one(study):
    two, told = train(study, "mask_rcnn")
    assert "devices are there" not in told
    study.work_dir("mask_rcnn", 0).rename(study.root / "by_two")
    one, told = train(study, "mask_rcnn", processes=1)
    assert "1 of 2 devices are there; each does the work of 2, with the same batch and rate." in told
    assert one.keys() == two.keys()
    learnt = [name for name in one if "running_" not in name and "num_batches" not in name]
    assert len(learnt) == 114
    for name in learnt:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6, msg=name)


def test_statistics_of_each_device_want_all_devices(study):
    process = start(study, "rfs_fasa_own_statistics", {min(os.sched_getaffinity(0))})
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 2 and "Traceback" not in told
    assert told.endswith(
        "fasa: rfs_fasa_own_statistics keeps statistics of each of 2 devices, and 1 is there; train it where all are.\n"
    )
