"""A training that stops and goes on ends with the bits of one that never stopped; the hook's history and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from toys_detection import CLASSES, COUNTS, fasa_head, held_out, runner, tiny_detector

from fasa.errors import UserError
from fasa.mmdet.adaptation_hook import append_history, read_history

EPOCHS = 4
FASA = fasa_head(draws_per_step=5, grouping="class")
JITTER = {"jitter": 5.0}  # random numbers of NumPy in the data, too


class Stop(RuntimeError):
    """The power fails."""


class StopHook(Hook):
    """Stops the training in the third epoch: amid its steps, or after its history and before its checkpoint."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.priority = "LOWEST" if where == "steps" else 80  # between the adaptation's and the checkpoint's

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.where == "steps" and runner.epoch == 2 and batch_idx == 1:
            raise Stop

    def after_train_epoch(self, runner):
        if self.where == "history" and runner.epoch == 2:
            raise Stop


def adaptation(**options) -> dict:
    return {"type": "AdaptationHook", "dataloader": held_out(), **options}


def history(folder: Path) -> list[dict]:
    lines = read_history(folder / "history.jsonl")
    for line in lines:
        assert line.pop("seconds") > 0
    return lines


def same(left, right) -> None:
    """Bit for bit, through dictionaries and lists."""
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=True)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            same(a, b)
    else:
        assert left == right


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    runner(folder, tiny_detector(**FASA), adaptation(), epochs=EPOCHS, train=JITTER).train()
    return folder


@pytest.mark.parametrize("where", ["steps", "history"])
def test_a_resumed_training_is_an_uninterrupted_one(where, uninterrupted, tmp_path):
    config = tiny_detector(**FASA)
    with pytest.raises(Stop):
        runner(tmp_path, config, adaptation(), StopHook(where), epochs=EPOCHS, train=JITTER).train()
    assert len(history(tmp_path)) == (2 if where == "steps" else 3)
    assert not (tmp_path / "epoch_3.pth").exists()
    torch.rand(3)  # the new process draws otherwise
    again = runner(tmp_path, config, adaptation(), epochs=EPOCHS, train=JITTER, resume=True)
    again.train()
    left, right = (
        torch.load(folder / f"epoch_{EPOCHS}.pth", weights_only=False) for folder in (uninterrupted, tmp_path)
    )
    for part in ("state_dict", "optimizer", "param_schedulers"):
        same(left[part], right[part])
    assert history(tmp_path) == history(uninterrupted)


def test_the_history_tells_what_happened(uninterrupted):
    lines = history(uninterrupted)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    first, second, third, last = (line["heads"]["bbox_head"] for line in lines)
    # The first validation only sets the mark; from then on each class, a group of its own, follows its loss.
    assert first["probabilities"] == second["probabilities"]
    for p, q, was, now in zip(
        second["probabilities"],
        third["probabilities"],
        first["validation_loss"][:CLASSES],
        second["validation_loss"][:CLASSES],
        strict=True,
    ):
        expected = p if was is None or now is None else min(1, p * (1.1 if now < was else 0.9))
        assert q == pytest.approx(expected, rel=1e-5)
    checkpoint = torch.load(uninterrupted / "epoch_4.pth", weights_only=False)["state_dict"]
    fasa = "roi_head.bbox_head.augmenter.fasa."
    assert checkpoint[f"{fasa}epoch"] == 4  # the checkpoint comes after the adaptation
    assert checkpoint[f"{fasa}probabilities"].tolist() != last["probabilities"]
    assert checkpoint[f"{fasa}groups"].tolist() == last["groups"]
    assert len(last["validation_count"]) == len(last["true_class_probability"]) == CLASSES + 1
    assert sum(last["validation_count"]) == 4 * 16


def test_no_virtual_features_in_the_first_epoch_and_some_in_the_second(tmp_path):
    seen = []

    class Listen(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append((runner.epoch, float(outputs["virtual"])))

    runner(tmp_path, tiny_detector(**fasa_head(draws_per_step=100)), adaptation(), Listen(), epochs=2).train()
    assert all(value == 0 for epoch, value in seen if epoch == 0)
    assert all(value > 0 for epoch, value in seen if epoch == 1)


def test_without_an_augmenter_the_hook_logs_the_validation_loss(tmp_path):
    trained = runner(tmp_path, tiny_detector(cascade=True), adaptation(), epochs=1)
    trained.train()
    (line,) = history(tmp_path)
    assert set(line["heads"]) == {"bbox_head.0", "bbox_head.1", "bbox_head.2"}
    for number, head in enumerate(line["heads"].values()):
        assert set(head) == {"validation_loss", "validation_count", "accuracy", "true_class_probability"}
        mean = sum(
            loss * count for loss, count in zip(head["validation_loss"], head["validation_count"], strict=True) if count
        ) / sum(head["validation_count"])
        logged = trained.message_hub.get_scalar(f"val/val_loss.{number}").current()
        assert logged == pytest.approx(mean, rel=1e-4)


def test_static_sampling_needs_no_validation(tmp_path):
    config = tiny_detector(**fasa_head(draws_per_step=5, adaptive=False))
    runner(tmp_path, config, adaptation(), epochs=2).train()
    lines = read_history(tmp_path / "history.jsonl")
    assert [line["seconds"] for line in lines] == [None, None]
    assert lines[0]["heads"]["bbox_head"]["probabilities"] == lines[1]["heads"]["bbox_head"]["probabilities"]
    assert "validation_loss" not in lines[0]["heads"]["bbox_head"]


def test_an_augmenter_that_ends_no_epoch_leaves_the_validation_to_the_hook(tmp_path):
    head = {"type": "AugmentedBBoxHead", "augmenter": {"name": "moex"}, "class_counts": COUNTS}
    runner(tmp_path, tiny_detector(**head), adaptation(), epochs=1).train()
    (line,) = read_history(tmp_path / "history.jsonl")
    assert "validation_loss" in line["heads"]["bbox_head"]


def test_static_sampling_needs_no_validation_data(tmp_path):
    config = tiny_detector(**fasa_head(draws_per_step=5, adaptive=False))
    trained = runner(tmp_path, config, {"type": "AdaptationHook"}, epochs=2)
    trained.train()
    assert trained.model.roi_head.bbox_head.augmenter.fasa.epoch == 2


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ({"type": "AdaptationHook"}, "give AdaptationHook a dataloader"),
        (adaptation(dataloader=held_out(test_mode=True)), "test_mode=True"),
        (adaptation(dataloader=held_out(classes="abc")), "3 classes"),
    ],
)
def test_mistakes_are_named(hook, words, tmp_path):
    with pytest.raises(UserError, match=words):
        runner(tmp_path, tiny_detector(**FASA), hook, epochs=1).train()


def test_history_drops_the_lines_of_epochs_that_come_again(tmp_path):
    path = tmp_path / "history.jsonl"
    for epoch in (1, 2, 3, 2):
        append_history(path, {"epoch": epoch, "heads": {}})
    assert [json.loads(text)["epoch"] for text in path.read_text().splitlines()] == [1, 2]
    path.write_text("{")
    with pytest.raises(UserError, match=r"history\.jsonl"):
        append_history(path, {"epoch": 3})
