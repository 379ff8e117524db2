"""The CUDA path of a training: graphs, streams, bf16. Skipped without a CUDA device."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from fasa.study import Run
from fasa.tasks.classification import session
from fasa.tasks.classification.graphs import GraphedStep
from fasa.tasks.classification.training import Training

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def final(study, dataset, name: str, graphed: bool = True) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Weights and training losses at the end of a run on the GPU."""
    training = Training(study.job(Run(name, 0)), dataset, torch.device("cuda"))
    if not graphed:
        training.step = training._step
    for _ in training.run():
        pass
    return training.classifier.state_dict(), training.history["train_loss"]


@pytest.mark.parametrize("name", ["ldam", "ldam_fasa", "tde_fasa"])
def test_a_graphed_training_is_the_eager_one(study, dataset, tmp_path, name):
    graphed, losses = final(study, dataset, name)
    eager, eager_losses = final(dataclasses.replace(study, root=tmp_path / "eager"), dataset, name, graphed=False)
    assert losses == pytest.approx(eager_losses, rel=1e-3)
    for key, value in graphed.items():
        torch.testing.assert_close(value, eager[key], rtol=1e-2, atol=1e-3)


def test_only_augmenters_with_static_shapes_are_graphed(study, dataset):
    assert isinstance(Training(study.job(Run("ldam_fasa", 0)), dataset, torch.device("cuda")).step, GraphedStep)


def test_a_step_never_waits_for_the_device(study, dataset):
    training = Training(study.job(Run("ldam_fasa", 0)), dataset, torch.device("cuda"))
    training.augmenter.fasa.epoch += 1
    batches = training._begin_epoch()
    training._step(batches[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        training._step(batches[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_runs_side_by_side_are_as_if_alone(packed):
    runs = [Run("ldam_fasa", 0), Run("ldam_fasa", 1), Run("ldam", 0)]
    assert session.train([packed.job(run) for run in runs], torch.device("cuda")) == {}
    assert all((packed.work_dir(run.recipe, run.seed) / "model.pt").exists() for run in runs)


def test_bf16_ends_near_fp32(make_study, dataset):
    _, exact = final(make_study(precision="fp32"), dataset, "ldam_fasa")
    _, rounded = final(make_study(precision="bf16"), dataset, "ldam_fasa")
    assert rounded[-1] == pytest.approx(exact[-1], rel=0.1)
