"""What a training keeps of its attempts, and what it says where two of them are not of one kind."""

from __future__ import annotations

import json

import torch
from toys_detection import bookkeeping, runner, tiny_detector

from fasa.study import Run
from fasa.tasks import attempts
from fasa.tasks.records import read_trained, write_metrics


def test_attempts_are_recorded_and_told_where_they_differ(study, build, monkeypatch, capsys):
    first = build(study, "ldam_fasa")
    steps = first.run()
    while next(steps) < 2:
        pass
    steps.close()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "PDP-11")
    monkeypatch.setattr(attempts, "code_version", lambda root: "9.9.9")
    again = build(study, "ldam_fasa")
    assert set(again.run()) == {2, 3, 4}  # epochs done: it went on after the second
    kinds = [attempt["cpu_capability"] for attempt in again.attempts]
    was, code = again.attempts[0]["cpu_capability"], again.attempts[0]["code_version"]
    assert kinds == [was, "PDP-11"]
    assert [attempt["epoch"] for attempt in again.attempts] == [0, 2]
    assert "differs_in" not in again.attempts[0]
    assert again.attempts[1]["differs_in"] == ["cpu_capability", "code_version"]
    assert capsys.readouterr().err == (
        f"fasa: ldam_fasa seed 0 goes on with another instruction set ({was}, now PDP-11), code ({code}, now 9.9.9): "
        "its weights may be others than of a training that never stopped.\n"
    )
    job = study.job(Run("ldam_fasa", 0))
    cost = read_trained(job, "cost.json")
    assert cost["attempts"] == again.attempts
    path = write_metrics(job, cost, {}, "digits", {}, {}, 0.0)
    assert "attempts" not in json.loads(path.read_text())
    assert json.loads(path.with_name("provenance.json").read_text())["attempts"] == again.attempts


def test_a_finished_training_is_no_further_attempt(study, build, train, capsys):
    train(study, "ce")
    (study.work_dir("ce", 0) / "model.pt").unlink()
    assert [attempt["epoch"] for attempt in train(study, "ce").attempts] == [0]
    assert capsys.readouterr().err == ""


def test_a_checkpoint_of_a_detector_has_its_attempts(tmp_path, monkeypatch, capsys):
    def train(epochs: int, resume: bool = False) -> list[dict]:
        kept = bookkeeping()
        runner(tmp_path, tiny_detector(), kept, epochs=epochs, resume=resume).train()
        return kept.attempts

    assert [attempt["epoch"] for attempt in train(1)] == [0]
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    first, second = train(2, resume=True)
    assert (first["threads"], second["threads"], second["epoch"]) == (threads, threads + 1, 1)
    assert second["differs_in"] == ["threads"]
    assert f"number of threads ({threads}, now {threads + 1})" in capsys.readouterr().err
    assert torch.load(tmp_path / "epoch_2.pth", weights_only=False)["fasa"]["attempts"] == [first, second]
