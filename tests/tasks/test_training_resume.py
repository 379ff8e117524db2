"""A training that was stopped, torn or contested ends as if nothing had happened, or says what to do."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
from dataclasses import replace

import pytest
import torch

from fasa.datasets.pack import save_pack
from fasa.errors import UserError
from fasa.study import Run, Study
from fasa.tasks import checkpoint, lease, weights
from fasa.tasks.classification import session

RECIPES = ("ldam_fasa", "ldam_fasa_released", "ldam_m2m", "ce_r34_chu", "tde", "tde_fasa", "balanced_softmax")


def assert_same(first, second, where=""):
    """Equal to the last bit, through dictionaries and lists."""
    assert type(first) is type(second), where
    if isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for n, (a, b) in enumerate(zip(first, second, strict=True)):
            assert_same(a, b, f"{where}/{n}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first.nan_to_num(-1.0), second.nan_to_num(-1.0)), where
    else:
        assert first == second, where


def ends(study: Study, name: str, seed: int = 0) -> dict:
    """All that a training leaves, but how long it took."""
    folder = study.work_dir(name, seed)
    last = max(study.checkpoint_dir(name, seed).glob("epoch-*.pt"))
    state = torch.load(last, weights_only=True)
    del state["seconds"], state["attempts"]
    return {
        "last": last.name,
        "state": state,
        "model": torch.load(folder / "model.pt", weights_only=True),
        "history": (folder / "history.json").read_text(),
    }


@pytest.mark.parametrize(("name", "precision"), [*((name, "fp32") for name in RECIPES), ("ldam_fasa", "bf16")])
def test_stopped_at_every_epoch_it_ends_the_same(make_study, build, train, name, precision):
    """Stopped a random number of steps into each epoch and begun anew, by another object each time."""
    study = make_study(epochs=0.04, precision=precision)  # 8 epochs, M2m from the 6th; 3 of Chu's second phase
    folder = study.work_dir(name, 3)
    train(study, name, 3)
    expected = ends(study, name, 3)
    assert ("fasa.mean" in expected["state"]["augmenter"]) == ("fasa" in name)
    shutil.rmtree(folder)

    chance = random.Random(name)
    epochs = study.recipe(name).schedule.epochs
    for stop in range(1, epochs):
        training = build(study, name, 3)
        into = chance.randrange(3)  # every epoch here has at least 3 steps
        steps = training.run()
        for epoch in steps:
            into -= epoch == stop
            if into < 0:
                break
        assert training.epoch == stop
        steps.close()
        del training
    assert not (folder / "model.pt").exists()
    train(study, name, 3)
    assert_same(ends(study, name, 3), expected)


def test_stopped_before_its_first_checkpoint_it_starts_over(study, build, train):
    train(study, "ldam_fasa")
    expected = ends(study, "ldam_fasa")
    shutil.rmtree(study.work_dir("ldam_fasa", 0))
    steps = build(study, "ldam_fasa").run()
    next(steps), next(steps)
    steps.close()
    train(study, "ldam_fasa")
    assert_same(ends(study, "ldam_fasa"), expected)


def test_a_finished_run_is_not_trained_again(study, build, train):
    train(study, "ldam_fasa")
    expected = ends(study, "ldam_fasa")
    (study.work_dir("ldam_fasa", 0) / "model.pt").unlink()  # lost, or the kill came just before it
    assert list(build(study, "ldam_fasa").run()) == []
    assert_same(ends(study, "ldam_fasa"), expected)


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_a_torn_checkpoint_falls_back_to_the_one_before(study, build, train, keep):
    train(study, "ldam_fasa")
    folder = study.work_dir("ldam_fasa", 0)
    expected = ends(study, "ldam_fasa")
    for path in folder.glob("*.*"):
        path.unlink()
    last = study.checkpoint_dir("ldam_fasa", 0) / "epoch-00005.pt"
    content = last.read_bytes()
    last.write_bytes(content[: int(keep * len(content))])
    assert checkpoint.newest_checkpoint(study.job(Run("ldam_fasa", 0)))["epoch"] == 4
    assert set(build(study, "ldam_fasa").run()) == {4}
    assert_same(ends(study, "ldam_fasa"), expected)


def test_two_checkpoints_are_kept(study, train):
    train(study, "ce")
    assert {p.name for p in study.checkpoint_dir("ce", 0).iterdir()} == {
        "epoch-00004.pt",
        "epoch-00005.pt",
        "lease",
    }


def test_checkpoints_come_as_often_as_the_scale_says(make_study, train):
    study = make_study(checkpoint_seconds=3600)
    train(study, "ce")
    assert [p.name for p in study.checkpoint_dir("ce", 0).glob("*.pt")] == ["epoch-00005.pt"]


def test_what_a_kill_left_half_written_is_swept_up(study, train):
    torn = study.checkpoint_dir("ce", 0) / ".epoch-00003.pt.abc.tmp"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"half")
    train(study, "ce")
    assert not torn.exists()


def test_a_changed_recipe_starts_anew_and_loses_nothing(make_study, build):
    study = make_study({"mine": {"base": "ldam_fasa"}})
    steps = build(study, "mine").run()
    while next(steps) < 2:
        pass
    steps.close()
    changed = make_study({"mine": {"base": "ldam_fasa", "schedule": {"lr": 0.2}}})
    assert next(build(changed, "mine").run()) == 0
    study = make_study({"mine": {"base": "ldam_fasa"}})
    assert next(build(study, "mine").run()) == 2


def test_a_checkpoint_of_another_recipe_is_refused(study, build, train):
    """As a user may bring about who copies a folder."""
    train(study, "ldam")
    folder = study.checkpoint_dir("ldam_fasa", 0)
    shutil.copytree(study.checkpoint_dir("ldam", 0), folder)
    with pytest.raises(UserError) as refusal:
        next(build(study, "ldam_fasa").run())
    assert str(refusal.value) == (
        f"{folder}/epoch-00005.pt is a checkpoint of another version of its recipe; "
        f"delete {folder} to train from the start."
    )


def test_a_checkpoint_of_another_seed_is_refused(study, build, train):
    train(study, "ldam", 1)
    shutil.copytree(study.checkpoint_dir("ldam", 1), study.checkpoint_dir("ldam", 0))
    with pytest.raises(UserError, match=r"epoch-00005\.pt is a checkpoint of another seed; delete .* from the start"):
        next(build(study, "ldam").run())


def test_weights_of_another_run_or_damaged_are_refused(study, build, train):
    train(study, "ce_r34")
    job, classifier = study.job(Run("ce_r34", 0)), build(study, "ce_r34").classifier
    with pytest.raises(UserError, match="is of another version of its recipe; train that run"):
        weights.load(replace(job, fingerprint="another"), classifier)
    with pytest.raises(UserError, match=r"model\.pt is of another seed; train that run: what is done of it is kept"):
        weights.load(replace(job, run=Run("ce_r34", 1)), classifier)
    job.weights.write_bytes(job.weights.read_bytes()[:100])
    with pytest.raises(UserError, match=r"model\.pt is damaged .*; train that run: what is done of it is kept"):
        weights.load(job, classifier)


@pytest.fixture
def impatient(monkeypatch):
    """A second writer does not wait for the first to leave."""
    monkeypatch.setattr(lease, "PATIENCE", 0)


def test_a_second_writer_is_refused_while_the_first_holds_the_lease(study, build, impatient):
    first, second = build(study, "ce").run(), build(study, "ce").run()
    next(first)
    with pytest.raises(UserError, match=f"is being trained by process {os.getpid()} on .*; wait for it or stop it"):
        next(second)
    next(first)
    first.close()
    next(build(study, "ce").run())


def test_being_refused_is_no_failure_of_the_run(study, dataset, impatient):
    """The first writer's run is going on; the second one's message must not stand as that run's fate."""
    save_pack(study.data_path("ce"), dataset)
    folder = study.checkpoint_dir("ce", 0)
    folder.mkdir(parents=True)
    with (folder / "lease").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        failures = session.train([study.job(run) for run in [Run("ce", 0), Run("ce", 1)]], torch.device("cpu"))
    assert list(failures) == [Run("ce", 0)]
    assert not (study.work_dir("ce", 0) / "failed.json").exists()
    assert (study.work_dir("ce", 1) / "model.pt").exists()


def test_a_training_that_another_relieved_saves_nothing_more(packed, monkeypatch):
    """It stood still for so long that another took its lease, where locks do not reach; its run has not failed."""
    study, files = packed, []
    folder = study.checkpoint_dir("ce", 0)
    save = checkpoint.save_checkpoint

    def save_and_be_relieved(*arguments) -> None:
        save(*arguments)
        holder = {"host": "node-9", "pid": 7, "job": None, "since": "noon", "token": ""}
        (folder / "lease").write_text(json.dumps(holder))
        files.extend(sorted(folder.iterdir()))

    monkeypatch.setattr(checkpoint, "save_checkpoint", save_and_be_relieved)
    (failure,) = session.train([study.job(Run("ce", 0))], torch.device("cpu")).values()
    assert (
        str(failure)
        == f"{folder} was taken over by process 7 on node-9 since noon while this process stood still; this one stops."
    )
    assert sorted(folder.iterdir()) == files and [path.name for path in files] == ["epoch-00001.pt", "lease"]
    assert json.loads((folder / "lease").read_text())["host"] == "node-9"
    assert {path.name for path in study.work_dir("ce", 0).iterdir()} == {"checkpoints", "heartbeat.json"}


def test_a_checkpoint_of_another_kind_of_device_is_refused(study, build, train):
    """The generators' states differ in size and meaning."""
    train(study, "ldam_fasa")
    newest = max(study.checkpoint_dir("ldam_fasa", 0).glob("epoch-*.pt"))
    torch.save(torch.load(newest, weights_only=True) | {"device": "cuda"}, newest)
    with pytest.raises(UserError, match=r"is of a training on cuda, .* those of cpu: go on with --device cuda, or"):
        next(build(study, "ldam_fasa").run())
