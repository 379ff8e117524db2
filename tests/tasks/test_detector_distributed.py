"""Two processes with half a batch each against one with the whole of it: a training of a detector over gloo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from process_toys import by_ranks
from toys_detection import fasa_head, held_out, runner, tiny_detector

from fasa.mmdet.adaptation_hook import read_history

RANKS, EPOCHS = 2, 3
# Without mask head: its loss is a mean over positive RoIs, of which each process has another number. The sampler takes
# the first RoIs, and virtual features start late, as no two processes draw the same random numbers.
EXACT = {"sampler": "FirstSampler", "masks": False, **fasa_head(draws_per_step=5, start_epoch=99, grouping="class")}
SETTINGS: dict[str, dict[str, Any]] = {
    "mask_rcnn": EXACT,
    "cascade": {"cascade": True, **EXACT},
    "local": {**EXACT, **fasa_head(draws_per_step=5, start_epoch=99, grouping="class", global_statistics=False)},
    "virtual": {"cascade": True, **fasa_head(draws_per_step=5, grouping="class")},
}


def train(folder: Path, name: str, ranks: int) -> dict[str, torch.Tensor]:
    """The weights and buffers after a few epochs with four images a step; five held-out images."""
    hook = {"type": "AdaptationHook", "dataloader": held_out(size=5)}
    options: dict[str, Any] = {}
    if ranks > 1:
        wrapper = {"type": "MMDistributedDataParallel", "device_ids": None, "broadcast_buffers": False}
        options = {"launcher": "pytorch", "cfg": {"model_wrapper_cfg": wrapper}}
    config = tiny_detector(**SETTINGS[name])
    trained = runner(folder / name, config, hook, epochs=EPOCHS, batch_size=4 // ranks, **options)
    trained.train()
    return (trained.model.module if ranks > 1 else trained.model).state_dict()


def of_rank(rank: int, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {name: train(folder / "ranks", name, RANKS) for name in SETTINGS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both ways of training leave their files."""
    return tmp_path_factory.mktemp("detectors")


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, dict[str, torch.Tensor]]]:
    """What each of them ends with."""
    return by_ranks(of_rank, folder, RANKS)


@pytest.mark.parametrize("name", ["mask_rcnn", "cascade"])
def test_two_halves_are_one_whole(name, folder, ranks):
    whole = train(folder / "whole", name, 1)
    first = ranks[0][name]
    assert whole.keys() == first.keys()
    fasa = [key for key in whole if ".fasa." in key]
    assert len(fasa) == (8 if name == "mask_rcnn" else 24)
    for key, value in whole.items():
        torch.testing.assert_close(first[key], value, rtol=1e-3, atol=1e-5, equal_nan=True, msg=key)
    for key in fasa:
        if key.endswith(("probabilities", "groups", "observations", "epoch")):
            assert torch.equal(whole[key], first[key]), key
    ours, theirs = (read_history(folder / part / name / "history.jsonl") for part in ("ranks", "whole"))
    moved = 0
    for line, other in zip(ours, theirs, strict=True):
        for head, entry in line["heads"].items():
            expected = other["heads"][head]
            assert entry["validation_count"] == expected["validation_count"]
            assert sum(entry["validation_count"]) == 5 * 16  # each image once, though five do not divide by two
            for key in ("validation_loss", "true_class_probability", "probabilities"):
                assert entry[key] == pytest.approx(expected[key], rel=1e-3)
            moved += entry["probabilities"] != ours[0]["heads"][head]["probabilities"]
    assert moved


@pytest.mark.parametrize("name", list(SETTINGS))
def test_processes_agree_to_the_last_bit(name, ranks):
    first, second = (states[name] for states in ranks)
    local = ("mean", "variance", "observations") if name == "local" else ()
    for key, value in first.items():
        if ".fasa." in key and key.endswith(local or "?"):
            assert not torch.equal(value, second[key]), key
        else:
            torch.testing.assert_close(value, second[key], rtol=0, atol=0, equal_nan=True, msg=key)
