"""Seconds and memory of iterations: hand-computed sums, the first epoch left out, resumed trainings, no waiting."""

from __future__ import annotations

import json
import math

import pytest
import torch
from mmengine.hooks import Hook
from toys_detection import bookkeeping, runner, tiny_detector

from fasa.tasks.detection import iteration_cost
from fasa.tasks.detection.iteration_cost import IterationCost

CPU = torch.device("cpu")


def epoch(cost: IterationCost, ends: list[float], monkeypatch) -> None:
    clock = iter(ends)
    monkeypatch.setattr(iteration_cost.time, "perf_counter", lambda: next(clock))
    cost.begin_epoch(CPU)
    for _ in ends:
        cost.end_iteration()
    cost.end_epoch()
    monkeypatch.undo()


def test_mean_and_deviation_over_epochs(monkeypatch):
    """Between the ends 10, 11, 13 and 100, 106 lie 1, 2 and 6 seconds: mean 3, variance (4 + 1 + 9) / 2."""
    cost = IterationCost()
    epoch(cost, [10, 11, 13], monkeypatch)
    other = IterationCost()  # another attempt goes on from the checkpoint
    other.load(json.loads(json.dumps(cost.state())))
    epoch(other, [100, 106], monkeypatch)
    found = other.measured()
    assert found["seconds_per_iteration"] == 3 and found["iterations"] == 3
    assert found["seconds_per_iteration_std"] == pytest.approx(math.sqrt(7), abs=1e-6)
    assert found["memory_gb"] is None
    assert 0.05 < found["resident_gb"] < 100


@pytest.mark.parametrize(("ends", "iterations"), [([], 0), ([3.0], 0), ([3.0, 4.0], 1)])
def test_what_cannot_be_measured_is_null(ends, iterations, monkeypatch):
    cost = IterationCost()
    epoch(cost, ends, monkeypatch)
    found = cost.measured()
    assert found["iterations"] == iterations
    assert (found["seconds_per_iteration"] is None) == (iterations == 0)
    assert found["seconds_per_iteration_std"] is None


class Event:
    """A GPU's event whose time is its number; a moment may be read only after a wait for a later one."""

    made, reached, waits = 0, -1, 0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing
        self.number = Event.made
        Event.made += 1

    def record(self, stream: str) -> None:
        assert stream == "stream"

    def synchronize(self) -> None:
        Event.waits += 1
        Event.reached = self.number

    def elapsed_time(self, end: Event) -> float:
        assert end.number <= Event.reached, "read before the device came there"
        return 1000.0 * (end.number**2 - self.number**2)


def test_a_gpu_is_waited_for_once_an_epoch(monkeypatch):
    """Ends at 0, 1, 4, 9 seconds: 1, 3 and 5 between them. mmengine's log starts the peak anew amid the epoch."""
    peaks = iter([2, 6, 3, 1])
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "stream")
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: next(peaks) * 2**30)
    cost = IterationCost()
    cost.begin_epoch(torch.device("cuda"))
    for _ in range(4):
        cost.end_iteration()
    assert Event.waits == 0
    cost.end_epoch()
    assert Event.waits == 1
    found = cost.measured()
    assert found["seconds_per_iteration"] == 3 and found["seconds_per_iteration_std"] == 2
    assert found["memory_gb"] == 6 and found["iterations"] == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_real_gpu():
    device, cost = torch.device("cuda"), IterationCost()
    cost.begin_epoch(device)
    for _ in range(3):
        torch.cuda._sleep(50_000_000)
        torch.empty(2**28, device=device)  # a GiB of floats, let go at once
        cost.end_iteration()
    cost.end_epoch()
    found = cost.measured()
    assert 0.005 < found["seconds_per_iteration"] < 1 and 1 <= found["memory_gb"] < 2


class Stop(RuntimeError):
    """The power fails."""


class StopHook(Hook):
    """Stops the training in its third epoch."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == 2 and batch_idx == 1:
            raise Stop


def train(folder, *hooks: Hook, resume: bool = False) -> dict:
    """Four epochs of four iterations; what they cost."""
    kept = bookkeeping()
    runner(folder, tiny_detector(), kept, *hooks, epochs=4, resume=resume).train()
    return kept.iterations.measured()


def test_a_resumed_training_counts_each_epoch_once(tmp_path):
    """Three epochs count, each with the three spans between four iterations."""
    whole = train(tmp_path / "whole")
    assert whole["iterations"] == 9 and whole["seconds_per_iteration"] > 0
    with pytest.raises(Stop):
        train(tmp_path / "stopped", StopHook())
    assert train(tmp_path / "stopped", resume=True)["iterations"] == 9


def test_a_checkpoint_from_before_there_was_a_cost_can_be_resumed(tmp_path):
    train(tmp_path)
    newest = tmp_path / "epoch_4.pth"
    state = torch.load(newest, weights_only=False)
    del state["fasa"]["iterations"]
    torch.save(state, newest)
    assert train(tmp_path, resume=True)["iterations"] == 0
