"""A training that stops and goes on ends with the bits of one that never stopped; the hook's history and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from toys_detection import CLASSES, COUNTS, bookkeeping, fasa_head, held_out, runner, tiny_detector

from fasa.errors import UserError
from fasa.mmdet.adaptation_hook import KEY, read_history

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


def stopped(folder: Path) -> None:
    """A training of two epochs that ends amid the third."""
    with pytest.raises(Stop):
        runner(folder, tiny_detector(**FASA), adaptation(), bookkeeping(), StopHook("steps"), epochs=3).train()


def resumed(folder: Path) -> list[int]:
    """The epochs in the history once it has gone on."""
    runner(folder, tiny_detector(**FASA), adaptation(), bookkeeping(), epochs=3, resume=True).train()
    return [line["epoch"] for line in history(folder)]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")])
def test_the_history_is_the_checkpoints(damage, tmp_path):
    """What befell its file loses no line."""
    stopped(tmp_path)
    expected = history(tmp_path)
    damage(tmp_path / "history.jsonl")
    assert resumed(tmp_path) == [1, 2, 3]
    assert history(tmp_path)[:2] == expected


def test_a_checkpoint_from_before_it_held_a_history_goes_on_with_the_file(tmp_path):
    """As long as it has a line for each epoch."""
    stopped(tmp_path)
    newest, lines = tmp_path / "epoch_2.pth", tmp_path / "history.jsonl"
    state = torch.load(newest, weights_only=False)
    assert [line["epoch"] for line in state.pop(KEY)] == [1, 2]
    torch.save(state, newest)
    text = lines.read_text()
    lines.write_text("[]\n")
    with pytest.raises(
        UserError, match=r"history\.jsonl is missing or damaged; delete its folder to train from the start"
    ):
        resumed(tmp_path)
    for kept, count in ((text.splitlines()[0], 1), (None, 0)):
        lines.write_text(kept) if kept else lines.unlink()
        with pytest.raises(UserError, match=f"the history of {count} of 2 trained epochs; delete that folder"):
            resumed(tmp_path)
    lines.write_text(text)
    assert resumed(tmp_path) == [1, 2, 3]


def test_no_checkpoint_is_written_where_another_has_the_lease(tmp_path):
    def lost() -> None:
        raise UserError("taken over")

    with pytest.raises(UserError, match="taken over"):
        runner(tmp_path, tiny_detector(), bookkeeping(lost), epochs=1).train()
    assert not list(tmp_path.glob("*.pth"))
