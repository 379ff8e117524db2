"""A training's sign of life: what it says, how often, and that it never stands in the way."""

from __future__ import annotations

import json
import math

import pytest

from fasa.study import Run
from fasa.tasks import heartbeat
from fasa.tasks.heartbeat import NAME, Heartbeat, read_heartbeat

RUN = Run("ce", 0)


def last_of(study):
    return read_heartbeat(study.work_dir("ce", 0), study.fingerprint("ce"))


@pytest.fixture
def clock(monkeypatch):
    """Time that stands still until it is told."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(heartbeat.time, "time", lambda: Clock.now + 1e9)
    return Clock


def test_a_beat_says_where_a_training_is(study, clock, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    one = Heartbeat(study.job(RUN), 10)
    one.beat(2.0, 3.5, 40.0)  # resumed at epoch 2
    first = last_of(study)
    assert (first.epoch, first.epochs, first.loss, first.seconds, first.slurm_job) == (2.0, 10, 3.5, 40.0, "77")
    assert first.seconds_per_epoch is None and first.remaining() is None
    clock.now += 60
    one.beat(5.0, 2.5, 90.0)
    beat = last_of(study)
    assert beat.seconds_per_epoch == 20.0 and beat.remaining() == 100.0  # 3 epochs of this attempt in 60 s
    assert beat.updated - beat.started == 60.0
    assert beat.alive(beat.updated + 120) and not beat.alive(beat.updated + 121)


def test_beats_are_five_seconds_apart_but_the_end_is_told(study, clock):
    one = Heartbeat(study.job(RUN), 10)
    seen = []
    for epoch in (1.0, 2.0, 3.0, 10.0):
        one.beat(epoch, 1.0, 1.0)
        seen.append(last_of(study).epoch)
        clock.now += 3
    assert seen == [1.0, 1.0, 3.0, 10.0]


@pytest.mark.parametrize("loss", [math.nan, math.inf, None])
def test_a_loss_that_is_no_number_is_null(study, loss):
    Heartbeat(study.job(RUN), 10).beat(1.0, loss, 1.0)
    assert json.loads((study.work_dir("ce", 0) / NAME).read_text())["loss"] is None


def test_a_disk_that_is_full_stops_nothing(study, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(heartbeat.os, "replace", full)
    Heartbeat(study.job(RUN), 10).beat(1.0, 1.0, 1.0)
    assert last_of(study) is None
    monkeypatch.undo()
    (study.work_dir("ce", 0) / NAME).parent.parent.rename(study.root / "away")
    (study.work_dir("ce", 0) / NAME).parent.parent.write_text("a file where the folder was")
    Heartbeat(study.job(RUN), 10).beat(1.0, 1.0, 1.0)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}"])
def test_a_damaged_beat_is_none(study, text):
    Heartbeat(study.job(RUN), 10).beat(1.0, 1.0, 1.0)
    (study.work_dir("ce", 0) / NAME).write_text(text)
    assert last_of(study) is None


def test_an_older_recipes_beat_is_none(study, make_study):
    Heartbeat(study.job(RUN), 10).beat(1.0, 1.0, 1.0)
    assert last_of(study) is not None
    assert last_of(make_study(epochs=0.05)) is None
