"""Trainings on a GPU: graphs, streams, checkpoints, bf16. Skipped without a CUDA device.

Where two trainings are to be equal they are so to the last bit: the same kernels, in one order, on the same numbers.
For that sums run in a fixed order (deterministic algorithms) and products at full width (no TF32).
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from itertools import islice

import pytest
import torch

from fasa.datasets.pack import save_pack
from fasa.study import Run, Study
from fasa.tasks.classification import session
from fasa.tasks.classification.graphs import EAGER_STEPS, GraphedStep
from fasa.tasks.classification.training import Training

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before cuBLAS is loaded; determinism asks for it
CUDA = torch.device("cuda")
GRAPHED = ("ldam", "ldam_fasa", "tde_fasa")


@pytest.fixture(autouse=True)
def full_width(monkeypatch):
    """Products of 24 bits, and cuDNN searching for its kernels, as the command lets it."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)


@pytest.fixture
def deterministic():
    """Sums in a fixed order. It only warns of what has no such kernel: kthvalue, whose values are not in question."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def study(make_study, dataset) -> Study:
    """Ten epochs of four batches of 16 and a short one of 7, which is captured in the fourth: the rate drops in the
    eighth and ninth. A checkpoint after each."""
    study = make_study(epochs=0.05)
    save_pack(study.data_path("ce"), dataset)
    return study


def trained(study: Study, dataset, name: str, steps: int | None = None, graphed: bool = True) -> Training:
    """A run to its end, or for so many steps; all of it on a stream of its own, on which alone steps are captured."""
    with torch.cuda.stream(torch.cuda.Stream()):
        training = Training(study.job(Run(name, 0)), dataset, CUDA)
        if not graphed:
            training.step = training._step
        loop = training.run()
        for _ in islice(loop, steps):
            pass
        loop.close()
    torch.cuda.synchronize()
    return training


def elsewhere(study: Study, folder) -> Study:
    """The study with its runs in another folder."""
    return dataclasses.replace(study, root=folder)


def ends(study: Study, name: str, seed: int = 0) -> tuple[dict, dict]:
    """The weights that a run left, and its history."""
    folder = study.work_dir(name, seed)
    content = torch.load(folder / "model.pt", weights_only=True, map_location="cpu")
    return content["state_dict"], json.loads((folder / "history.json").read_text())["epochs"]


def assert_same(first: tuple[dict, dict], second: tuple[dict, dict]) -> None:
    """Equal to the last bit."""
    torch.testing.assert_close(first[0], second[0], rtol=0, atol=0, equal_nan=True)
    assert first[1] == second[1]


@pytest.mark.parametrize("name", GRAPHED)
def test_a_graphed_training_is_the_eager_one(study, dataset, tmp_path, deterministic, name):
    training = trained(study, dataset, name)
    replayed = {size for size, _ in training.step.graphs}
    assert replayed == ({16} if training.recipe.schedule.drop_last else {16, 7})
    apart = elsewhere(study, tmp_path / "eager")
    trained(apart, dataset, name, graphed=False)
    assert_same(ends(study, name), ends(apart, name))


def test_the_command_trains_side_by_side_as_if_alone(study, dataset, tmp_path, deterministic):
    """With cuDNN's search, a short last batch, and graphs captured while others run."""
    runs = [Run("ldam_fasa", 0), Run("ldam_fasa", 1), Run("ldam", 0), Run("tde_fasa", 0)]
    assert session.train([study.job(run) for run in runs], CUDA) == {}
    apart = elsewhere(study, tmp_path / "alone")
    save_pack(apart.data_path("ce"), dataset)
    for run in runs:
        assert session.train([apart.job(run)], CUDA) == {}
        assert_same(ends(study, run.recipe, run.seed), ends(apart, run.recipe, run.seed))


@pytest.mark.parametrize("name", GRAPHED)
@pytest.mark.parametrize("epochs", [2, 6])  # before and after the short batch has its graph
def test_stopped_amid_an_epoch_it_ends_the_same(study, dataset, tmp_path, deterministic, name, epochs):
    per_epoch = len(trained(study, dataset, name)._begin_epoch())
    apart = elsewhere(study, tmp_path / "stopped")
    stopped = trained(apart, dataset, name, steps=epochs * per_epoch + 3)
    assert stopped.epoch == epochs and not (apart.work_dir(name, 0) / "model.pt").exists()
    trained(apart, dataset, name)
    assert_same(ends(study, name), ends(apart, name))


@pytest.mark.parametrize("name", ["balanced_softmax", "ldam_m2m", "ce_r34_chu", "tde"])
def test_the_command_trains_and_measures(study, name):
    """M2m and Chu et al. wait for the device, after what they start from."""
    runs = study.with_needed((Run(name, 0),))
    assert session.train([study.job(run) for run in runs], CUDA) == {}
    metrics = json.loads(session.evaluate(study.job(runs[-1]), CUDA, time.monotonic()).read_text())
    assert metrics["device"] == torch.cuda.get_device_name()
    assert 0 <= metrics["measurements"]["accuracy"]["last"] <= 1


def test_only_augmenters_with_static_shapes_are_graphed(study, dataset):
    assert isinstance(Training(study.job(Run("ldam_fasa", 0)), dataset, CUDA).step, GraphedStep)
    trained(study, dataset, "ce")
    assert not isinstance(Training(study.job(Run("ldam_m2m", 0)), dataset, CUDA).step, GraphedStep)


@pytest.mark.parametrize("name", GRAPHED)
def test_a_step_never_waits_for_the_device(study, dataset, name):
    training = Training(study.job(Run(name, 0)), dataset, CUDA)
    if hasattr(training.augmenter, "fasa"):
        training.augmenter.fasa.epoch += 1
    batches = training._begin_epoch()
    for _ in range(EAGER_STEPS):
        training._step(batches[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        training._step(batches[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bf16_is_within_its_rounding_of_fp32(make_study, dataset):
    """At the first step, before roundings add up: 2**-9 of a number at each of seven layers moves logits of about 1 by
    some 0.014, and cross entropy by at most twice that; twice again for what is above 1."""
    losses = {}
    for precision in ("fp32", "bf16"):
        training = Training(make_study(precision=precision).job(Run("ce_fasa", 0)), dataset, CUDA)
        training._step(training._begin_epoch()[0])
        losses[precision] = float(training.total_loss)
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=4 * 7 * 2**-9)


def test_a_graphed_training_in_bf16_is_the_eager_one(make_study, dataset, tmp_path, deterministic):
    study = make_study(precision="bf16", epochs=0.05)
    trained(study, dataset, "ldam_fasa")
    apart = elsewhere(study, tmp_path / "eager")
    trained(apart, dataset, "ldam_fasa", graphed=False)
    assert_same(ends(study, "ldam_fasa"), ends(apart, "ldam_fasa"))
    assert all(math.isfinite(loss) for loss in ends(study, "ldam_fasa")[1]["train_loss"])
