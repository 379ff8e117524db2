"""SIGTERM, as Slurm says it before it kills: saved where that can be, left with code 143 and a sentence."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest
import torch
from attempts import attempt, said, start
from fault_table import record
from outcomes import same, trained

from fasa.tasks.termination import CODE, Terminated, at_once, deferred

pytestmark = pytest.mark.slow


def test_a_deferred_signal_is_a_question_and_a_second_one_ends(capfd):
    before = signal.getsignal(signal.SIGTERM)
    with deferred() as told:
        assert not told()
        os.kill(os.getpid(), signal.SIGTERM)
        assert told()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before
    assert "told to stop (SIGTERM)" in capfd.readouterr().err
    with at_once():
        assert signal.getsignal(signal.SIGTERM) not in (before, signal.SIG_DFL)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_classifier_saves_at_the_end_of_its_epoch(make_study, build, train):
    """Even where the scale would not save for an hour."""
    study = make_study(checkpoint_seconds=3600)
    training = build(study, "ldam_fasa", 4)
    told = False
    steps = training.run(lambda: told)
    while next(steps) < 1:
        pass
    told = True  # amid the second epoch
    with pytest.raises(Terminated) as left:
        list(steps)
    assert left.value.code == CODE == 143
    (saved,) = study.checkpoint_dir("ldam_fasa", 4).glob("epoch-*.pt")
    assert saved.name == "epoch-00002.pt" and torch.load(saved, weights_only=True)["seconds"] > 0
    assert set(build(study, "ldam_fasa", 4).run()) == {2, 3, 4}
    stopped = trained(study, "ldam_fasa", 4)
    shutil.rmtree(study.work_dir("ldam_fasa", 4))
    train(study, "ldam_fasa", 4)
    assert same(trained(study, "ldam_fasa", 4), stopped)


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_a_training_that_is_told_to_stop_leaves_and_goes_on(kind, request, tmp_path):
    run = request.getfixturevalue(kind)
    study = run.again(tmp_path / "told")
    codes = []
    pattern = {"classifier": "epoch-*.pt", "detector": "epoch_*.pth"}[kind]
    folder = study.checkpoint_dir(run.recipe, 0)
    while not list(folder.glob(pattern)):  # from the first checkpoint on it is amid its training
        process = start(study.root, list(run.command()))
        while process.is_alive() and not list(folder.glob(pattern)):
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGTERM)
        process.join()
        codes.append(process.exitcode)
    assert codes == [CODE], said(study.root)
    assert "told to stop (SIGTERM)" in said(study.root)
    assert study.state(run.recipe, 0) == "training"
    assert attempt(study.root, *run.command()) == 0
    assert same(trained(study, run.recipe), run.trained)
    record(f"{run.recipe}: SIGTERM", 1, 1)
