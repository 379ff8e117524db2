"""The check of a machine with a GPU, rehearsed on the CPU: everything but the kernels."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu import process
from benchmarks.gpu.here import ROOT
from benchmarks.gpu.lines import Lines
from benchmarks.gpu.plan import TABLE, WAVES, Part, parts
from fasa.study import Study, load_study

STEP = "a step of ldam fp32"
NO_GPU = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}


@pytest.fixture(scope="module")
def rehearsed() -> Study:
    return load_study(ROOT, "smoke")


def command(out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.gpu", str(out), *options]


def check(out: Path, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(command(out, *options), cwd=ROOT, env=NO_GPU, capture_output=True, text=True)


@pytest.mark.slow
def test_a_rehearsal_runs_every_kind_of_part_and_a_second_call_none_again(tmp_path, rehearsed):
    done = check(tmp_path, "--rehearse")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = Lines(tmp_path)
    planned = parts(rehearsed, rehearse=True)
    assert {part.work for part in planned} == {part.work for part in parts(load_study(ROOT, "paper"), rehearse=False)}
    for part in planned:
        about = lines.of(part.name)
        assert "begun" in about[0] and about[-1]["ended"] == 0 and lines.finished(part.name), part
        assert lines.told(part.name) and not lines.failures(part.name), part
        assert f"{part.name} …" in done.stdout
    found = {line["what"]: line for line in lines.of("a detector") if "what" in line}
    assert found["ratio"]["ratio"] > 0 and {"validation loss", "adaptation", "inference"} < set(found)
    for line in lines.of(planned[-1].name):
        if "metrics" in line:
            kept = json.loads((tmp_path / line["metrics"]).read_text())
            assert kept["fingerprint"] == rehearsed.fingerprint(kept["recipe"])
            assert kept["measurements"]["accuracy"] == line["accuracy"]
    assert "numbers mean nothing" in (tmp_path / "summary.txt").read_text()
    assert (tmp_path / "gpu_tests.xml").exists()

    before = lines.path.read_text().splitlines()
    again = check(tmp_path, "--rehearse")
    assert again.returncode == 0 and "…" not in again.stdout and "best epoch" in again.stdout
    after = lines.path.read_text().splitlines()
    assert after[: len(before)] == before and len(after) == len(before) + 1  # that there was another call


@pytest.mark.slow
def test_a_part_that_fails_is_one_sentence_and_is_tried_again(tmp_path, rehearsed):
    pack = rehearsed.task("ldam").data_path(tmp_path, rehearsed.recipe("ldam"))
    pack.parent.mkdir(parents=True)
    pack.write_bytes(b"no archive")
    done = check(tmp_path, "--rehearse", "--only", STEP)
    assert done.returncode == 1
    told = [line for line in done.stdout.splitlines() if line.startswith("failed: ")]
    assert len(told) == 1 and told[0].startswith(f"failed: {STEP}: {pack}")
    assert not Lines(tmp_path).finished(STEP)
    pack.unlink()
    done = check(tmp_path, "--rehearse", "--only", STEP)
    assert done.returncode == 0 and "failed" not in done.stdout and Lines(tmp_path).finished(STEP)


@pytest.mark.slow
def test_told_to_stop_it_leaves_and_says_what_there_is(tmp_path):
    running = subprocess.Popen(command(tmp_path, "--rehearse"), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    while not Lines(tmp_path).of("GPU tests"):
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    told, _ = running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGTERM and "begun" in told and "failed:" not in told
    assert [line["part"] for line in map(json.loads, Lines(tmp_path).path.read_text().splitlines())] == [
        "the check",
        "GPU tests",
        "GPU tests",
    ]


def test_without_a_gpu_it_says_so(tmp_path):
    done = check(tmp_path / "out")
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert done.stderr.startswith("gpu-check: this check needs a GPU, and none can be used here: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--rehearse", "--only", "a detecto"), "there is no part 'a detecto'; closest: 'a detector'"),
        (("--rehearse", "--scale", "tail"), "scale 'tail' has no classifiers"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, options, told):
    done = check(tmp_path, *options)
    assert done.returncode == 2 and done.stderr.startswith(f"gpu-check: {told}")


def test_a_folder_of_another_kind_of_check_is_refused(tmp_path):
    Lines(tmp_path).add("the check", scale="paper", rehearse=False)
    done = check(tmp_path, "--rehearse")
    assert done.returncode == 2
    assert done.stderr == f"gpu-check: {tmp_path} holds a check of scale paper; choose another folder.\n"


def test_what_does_not_fit_is_told_as_not_run(tmp_path):
    done = check(tmp_path, "--rehearse", "--minutes", "0.5")
    assert done.returncode == 0 and done.stdout.count("not run") == 5, done.stdout
    assert "it needs some 60 s, and" in done.stdout


def test_make_wants_to_know_where():
    done = subprocess.run(["make", "gpu-check", "OUT="], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "gpu-check: say where its results go" in done.stderr and "set-up" not in done.stdout


@pytest.fixture
def stopped(monkeypatch) -> process.Signals:
    """No signal; the handlers of this process are left alone."""
    monkeypatch.setattr(process.signal, "signal", lambda number, handler: None)
    return process.Signals()


@pytest.mark.parametrize(
    ("script", "ended", "told"),
    [
        ("kill -SEGV $$", -signal.SIGSEGV, "it was ended by SIGSEGV; see logs/a_part.log."),
        ("exit 3", 3, "it ended with the exit code 3; see logs/a_part.log."),
        ("exec sleep 60", -signal.SIGTERM, "it was stopped after 1 s; see logs/a_part.log."),
    ],
)
def test_a_crash_is_one_sentence(tmp_path, monkeypatch, stopped, script, ended, told):
    broken = tmp_path / "python"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(broken))
    process.run(Part("a part", "some:thing"), tmp_path, "smoke", True, 1.0, stopped)
    lines = Lines(tmp_path)
    assert lines.failures("a part") == [told] and lines.of("a part")[-1]["ended"] == ended
    process.run(Part("a wave", "some:thing", resumes=True), tmp_path, "smoke", True, 1.0, stopped)
    assert bool(lines.failures("a wave")) != (script == "exec sleep 60")  # that one goes on another time


def test_a_line_torn_by_a_kill_costs_nothing_else(tmp_path):
    lines = Lines(tmp_path)
    lines.add("a part", begun=1)
    lines.add("a part", what="size", told="large")
    with lines.path.open("a") as stream:
        stream.write('{"part": "a part", "wh')
    lines.add("a part", what="size", told="larger")
    lines.add("a part", failed="a reason.")
    assert lines.told("a part") == ["larger"] and lines.failures("a part") == ["a reason."]
    lines.add("a part", begun=2)
    assert lines.failures("a part") == [] and not lines.finished("a part")


def test_the_waves_are_the_recipes_of_the_table():
    study = load_study(ROOT, "paper")
    waves = [recipe for wave in WAVES for recipe in wave]
    assert sorted(waves) == sorted({run.recipe for run in study.runs(TABLE)})
    trained = [part.arguments for part in parts(study, rehearse=False) if part.resumes]
    assert len({(seed, recipe) for seed, *recipes in trained for recipe in recipes}) == len(study.runs(TABLE))
    assert [seed for seed, *recipes in trained if "ldam_fasa" in recipes] == ["0", "1", "2", "3", "4"]
