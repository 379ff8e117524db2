"""What the doctor says of disks, memory, and what runs have left."""

from __future__ import annotations

import errno
import fcntl
import os
import time

import pytest
from toys_study import leave, leave_metrics

from fasa import atomic
from fasa.doctor import disk, runs
from fasa.doctor.chosen import choose
from fasa.study.study import Run
from fasa.tasks.heartbeat import Heartbeat


def of_disk(study, names=("cifar_lt",), here=False):
    return [(one.state, one.message, one.fix) for one in disk.checks(choose(study, names), here)]


def of_runs(study):
    return [(one.state, one.message, one.fix) for one in runs.checks(choose(study, ["ldam"]))]


# --------------------------------------------------------------------------------------------------------------- disks
def test_room_for_what_is_still_to_be_trained(make_study):
    study = make_study(disk_gb={"resnet32": 1e9}, seeds=[0, 1])
    assert disk.still_to_come(choose(study, ["ldam", "ce"])) == 4e9  # two recipes of two seeds
    state, what, mend = of_disk(study, ["ldam"])[0]
    assert state == "missing" and "leave about 2,000,000,000.0 GB" in what and "ln -s" in mend
    assert of_disk(make_study(disk_gb={"resnet32": 1e-6}))[0][0] == "ok"


def test_what_is_trained_needs_no_more_room(make_study):
    study = make_study(disk_gb={"resnet32": 2.0}, seeds=[0, 1])
    folder = study.work_dir("ldam", 0)
    leave(study, "ldam", 0, "cost.json", {})
    atomic.write_bytes(folder / "model.pt", bytes(5_000_000))
    left = sum(path.stat().st_size for path in folder.iterdir()) / 1e9
    assert disk.still_to_come(choose(study, ["ldam"])) == pytest.approx(left)  # the other seed, as large as this one


def test_folders_that_cannot_be_written_or_locked(study, monkeypatch):
    told = "work_dirs/, results/, figures/, logs/, resources/ can be written, and locked."
    assert of_disk(study)[1] == ("ok", told, "")
    (study.root / "results").symlink_to("/proc")  # where nobody makes a file, root neither
    (found,) = [what for state, what, _ in of_disk(study) if state == "missing"]
    assert found.startswith("/proc cannot be written (")

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    (study.root / "results").unlink()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    state, what, _ = of_disk(study)[1]
    assert state == "warning" and "has no file locks (No locks available)" in what


def test_looking_leaves_nothing(study):
    before = sorted(study.root.rglob("*"))
    of_disk(study, here=True)
    assert sorted(study.root.rglob("*")) == before


def test_memory_counts_where_runs_train_here(make_study):
    study = make_study(resources={"gpu": 0, "mem_mb": 10**9, "runtime": 5})
    assert [state for state, _, _ in of_disk(study, here=True)] == ["ok", "ok", "warning"]
    assert [state for state, _, _ in of_disk(study, here=False)] == ["ok", "ok"]


# ---------------------------------------------------------------------------------------------------------------- runs
def test_runs_that_failed_or_train_or_are_damaged(study):
    assert of_runs(study) == [("ok", "0 of 2 are measured; 0 train now.", "")]
    leave(study, "ldam", 0, "failed.json", {"message": "no"})
    Heartbeat(study.job(Run("ldam", 1)), 5).beat(1.0, 0.1, 1.0)
    assert of_runs(study) == [
        ("ok", "0 of 2 are measured; 1 train now.", ""),
        ("warning", "1 failed; this shows why:", "fasa status --scale tiny"),
    ]
    atomic.write_text(study.metrics_path("ldam", 0), "{")
    assert of_runs(study)[1][::2] == ("missing", "fasa status --scale tiny")
    (study.work_dir("ldam", 0) / "failed.json").unlink()
    leave_metrics(study, "ldam", 0, fingerprint="older")
    assert "1 run of older recipes" in of_runs(study)[1][1]


def test_a_lease_that_nobody_holds_any_more(study):
    lease = study.work_dir("ldam", 0) / "lease"
    atomic.write_json(lease, {"host": "n1", "pid": 1, "job": None, "since": "then"})
    assert len(of_runs(study)) == 1  # its holder was alive a moment ago
    long_ago = time.time() - 3600
    os.utime(lease, (long_ago, long_ago))
    assert of_runs(study)[1][1] == "1 lease of trainings that are gone: the next one takes it."
    lease.write_text("{}")  # given back
    os.utime(lease, (long_ago, long_ago))
    assert len(of_runs(study)) == 1


def test_checkpoints_of_older_recipes_and_the_workflows_lock(study):
    own = study.checkpoint_dir("ldam", 0)
    older = own.with_name("0123456789abcdef")
    for folder, size in ((older, 250_000_000), (own, 900_000_000)):
        folder.mkdir(parents=True)
        with (folder / "epoch_001.pt").open("wb") as stream:
            stream.truncate(size)  # a hole: no disk is filled
    state, what, mend = of_runs(study)[1]
    assert state == "note" and "hold 0.2 GB" in what and mend == f"rm -r {older}"
    (study.root / ".snakemake/locks").mkdir(parents=True)
    assert len(of_runs(study)) == 2
    (study.root / ".snakemake/locks/0.input.lock").touch()
    assert of_runs(study)[2][2] == "snakemake --unlock"
