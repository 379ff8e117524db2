"""FASA that never draws is the baseline: statistics, validation passes and adaptation disturb no bit of training."""

from __future__ import annotations

from pathlib import Path

import torch
from toys_detection import fasa_head, held_out, runner, tiny_detector

EPOCHS = 3
JITTER = {"jitter": 5.0}  # random numbers of NumPy in the data, too


def trained(folder: Path, model: dict, *hooks: dict) -> dict[str, torch.Tensor]:
    """The last weights of a training."""
    whole = runner(folder, model, *hooks, epochs=EPOCHS, train=JITTER)
    whole.train()
    return whole.model.state_dict()


def test_without_a_draw_every_weight_is_the_baselines(tmp_path):
    torch.set_num_threads(1)
    adaptation = {"type": "AdaptationHook", "dataloader": held_out()}
    baseline = trained(tmp_path / "baseline", tiny_detector())
    never = trained(tmp_path / "never", tiny_detector(**fasa_head(start_epoch=EPOCHS, grouping="class")), adaptation)
    drawn = trained(tmp_path / "drawn", tiny_detector(**fasa_head(draws_per_step=5, grouping="class")), adaptation)
    assert baseline.keys() < never.keys()
    assert all(torch.equal(never[key], value) for key, value in baseline.items())
    state = {key.rpartition(".")[2]: value for key, value in never.items() if ".augmenter.fasa." in key}
    assert state["observations"].sum() > 0 and state["previous"].isfinite().any() and state["epoch"] == EPOCHS
    assert any(not torch.equal(drawn[key], value) for key, value in baseline.items())
