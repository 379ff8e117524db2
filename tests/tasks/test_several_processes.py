"""A detector trained by two processes, by the command: the weights that one gives, and a kill that changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
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


def history(study: Study) -> list[dict]:
    lines = json.loads((study.work_dir("mask_rcnn_fasa", 0) / "history.json").read_text())
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_a_killed_training_goes_on_and_ends_as_one_never_killed(study):
    undisturbed, _ = train(study, "mask_rcnn_fasa")
    expected, folder = history(study), study.checkpoint_dir("mask_rcnn_fasa", 0)
    study.work_dir("mask_rcnn_fasa", 0).rename(study.root / "undisturbed")

    process = start(study, "mask_rcnn_fasa", os.sched_getaffinity(0))
    while process.poll() is None and not any(folder.glob("epoch_*.pth")):
        time.sleep(0.005)
    workers = workers_of(process.pid)
    assert len(workers) == 2, process.communicate()
    os.kill(workers[1], signal.SIGKILL)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and "Traceback" not in told
    sentence = [line for line in told.splitlines() if line.startswith("fasa:")][-1]
    assert "it goes on at its last checkpoint" in sentence
    assert study.state("mask_rcnn_fasa", 0) == "failed"

    resumed, _ = train(study, "mask_rcnn_fasa")
    for name, value in resumed.items():
        torch.testing.assert_close(value, undisturbed[name], rtol=0, atol=0, equal_nan=True, msg=name)
    assert history(study) == expected


def workers_of(pid: int) -> list[int]:
    """The training processes that a process has started, by their numbers."""
    stats = {int(path.parent.name): _stat(path) for path in Path("/proc").glob("[0-9]*/stat")}
    children = sorted(child for child, stat in stats.items() if stat and int(stat[1]) == pid)
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _stat(path: Path) -> list[str]:
    """State, parent and so on; nothing of a process that is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
