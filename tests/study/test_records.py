"""What a run leaves to be read: failures by kind, measurements after what made them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from fasa import atomic
from fasa.errors import Unprepared, UserError
from fasa.study import Run
from fasa.tasks.lease import Busy
from fasa.tasks.records import forget_failure, note_failure, read_trained, write_metrics, write_trained

CLASSES = {"class_names": ["x"], "class_counts": [3]}
RUN = Run("ce", 1)
COST = {"device": "cpu", "device_seconds": 1.5, "threads": 1}


@pytest.mark.parametrize(
    ("error", "message", "printed"),
    [
        (UserError("the loss is nan."), "the loss is nan.", False),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero", True),
        (Busy("another trains."), None, False),
        (Unprepared("the data are missing."), None, False),
    ],
)
def test_failures_by_kind(study, capsys, error, message, printed):
    path = study.work_dir("ce", 1) / "failed.json"
    note_failure(study.job(RUN), error)
    assert (json.loads(path.read_text())["message"] == message) if message else not path.exists()
    assert ("Error" in capsys.readouterr().err) == printed
    if message:
        assert study.state("ce", 1) == "failed" and message in study.missing_reason("ce", 1)
    forget_failure(study.job(RUN))
    forget_failure(study.job(RUN))  # no note is no mistake
    assert study.state("ce", 1) == "missing"


def test_a_failure_of_an_older_recipe_is_none_of_todays(study):
    """Changed settings may be what mends it."""
    older = replace(study.job(RUN), fingerprint="0" * 16)
    note_failure(older, UserError("the loss is nan."))
    assert study.state("ce", 1) == "missing"
    (study.work_dir("ce", 1) / "failed.json").write_text("{")
    assert study.state("ce", 1) == "failed"  # damaged: it may be


def test_metrics_are_written_after_their_provenance(study, monkeypatch):
    written = []
    write = atomic.write_text
    monkeypatch.setattr(atomic, "write_text", lambda path, text: written.append(path.name) or write(path, text))
    path = write_metrics(study.job(RUN), COST, {"a": 1}, "digits", CLASSES, {"b": 2}, time.monotonic() - 40)
    assert written == ["provenance.json", "metrics.json"] and path == study.metrics_path("ce", 1)
    found = study.load_metrics("ce", 1)
    assert found["recipe"] == "ce" and found["seed"] == 1 and found["scale"] == "tiny" and found["dataset"] == "digits"
    assert found["device_seconds"] == 1.5 and found["measurements"] == {"b": 2} and found["config"] == {"a": 1}
    provenance = json.loads(path.with_name("provenance.json").read_text())
    assert 40 <= provenance["evaluation_seconds"] < 60 and "evaluation_seconds" not in found
    assert provenance["command"] == "fasa train ce --seed 1 --scale tiny" and provenance["device"] == "cpu"


def test_a_missing_or_damaged_file_of_a_training_is_named(study):
    path = study.work_dir("ce", 1) / "cost.json"
    with pytest.raises(UserError, match=r"cost\.json is missing; train that run again, it resumes at its end: fasa t"):
        read_trained(study.job(RUN), "cost.json")
    for content in ("", "{", "[]", "3", "null"):
        atomic.write_text(path, content)
        with pytest.raises(UserError, match=r"cost\.json is damaged; train that run again"):
            read_trained(study.job(RUN), "cost.json")
        assert study.state("ce", 1) == "missing"
    atomic.write_json(path, COST)
    with pytest.raises(UserError, match=r"cost\.json is of a version that wrote no checksums; train that run again"):
        read_trained(study.job(RUN), "cost.json")
    write_trained(study.job(Run("ce", 0)), "cost.json", COST)
    path.write_bytes((study.work_dir("ce", 0) / "cost.json").read_bytes())
    with pytest.raises(UserError, match=r"cost\.json is of another seed: 0, not 1; train that run again"):
        read_trained(study.job(RUN), "cost.json")


def test_records_need_no_torch():
    code = "import sys, fasa.tasks.records; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
