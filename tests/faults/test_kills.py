"""Killed at every change on the disk and at random moments, in training and evaluation: the same bits in the end."""

from __future__ import annotations

import random
import shutil
import signal
import time

import pytest
from attempts import KILLED, attempt, events, start
from fault_table import record
from outcomes import measured, same, seconds, trained

from fasa.study import Study

KINDS = ("classifier", "detector")
RANDOM = {"classifier": 40, "detector": 8}

pytestmark = pytest.mark.slow


@pytest.fixture(params=KINDS)
def run(request):
    return request.getfixturevalue(request.param)


def test_at_every_change_on_the_disk_of_a_training(run, tmp_path):
    tried = recovered = 0
    for n in run.events:
        study = run.again(tmp_path / str(n))
        assert attempt(study.root, *run.command(), kill_at=n) == KILLED, n
        assert attempt(study.root, *run.command()) == 0, n
        assert same(trained(study, run.recipe), run.trained), n
        assert not list(study.work_dir(run.recipe, 0).rglob("checkpoints/**/.*.tmp")), n
        tried, recovered = tried + 1, recovered + 1
    record(f"{run.recipe}: killed at each change on the disk", tried, recovered)


def killed_after(wait: float, study: Study, run) -> int:
    """The exit code of a training that SIGKILL meets after ``wait`` seconds, if it has not ended."""
    process = start(study.root, list(run.command()))
    process.join(wait)
    process.kill()
    process.join()
    return process.exitcode


@pytest.mark.parametrize("kind", KINDS)
def test_a_life_of_kills_at_random_moments(kind, request, tmp_path):
    """SIGKILL to a real process, again and again; lives that end between kills begin anew."""
    run = request.getfixturevalue(kind)
    started = time.monotonic()
    assert attempt(run.again(tmp_path / "paced").root, *run.command()) == 0
    duration = time.monotonic() - started
    chance, kills, lives = random.Random(kind), 0, 0
    while kills < RANDOM[kind]:
        study = run.again(tmp_path / str(lives))
        lives += 1
        ended = False
        for _ in range(4):
            ended = ended or killed_after(chance.uniform(0, duration), study, run) != -signal.SIGKILL
            kills += not ended
        assert attempt(study.root, *run.command()) == 0
        assert same(trained(study, run.recipe), run.trained)
        assert seconds(study, run.recipe) > 0
    assert attempt(study.root, *run.command("evaluate")) == 0
    assert same(measured(study, run.recipe), run.measured)
    record(f"{run.recipe}: SIGKILL at a random moment", kills, kills)


def test_at_every_change_on_the_disk_of_an_evaluation(run, tmp_path):
    """What is declared, metrics.json, is absent or whole."""
    study = run.again(tmp_path / "again", "work_dirs")
    for n in run.evaluation_events:
        shutil.rmtree(study.results.parent, ignore_errors=True)
        assert attempt(study.root, *run.command("evaluate"), kill_at=n) == KILLED, n
        path = study.metrics_path(run.recipe, 0)
        assert not path.exists() or same(measured(study, run.recipe), run.measured), n
    assert attempt(study.root, *run.command("evaluate")) == 0
    assert same(measured(study, run.recipe), run.measured)
    record(f"{run.recipe}: killed at each change on the disk of its evaluation", *[len(run.evaluation_events)] * 2)


def test_at_every_change_on_the_disk_of_a_table(run, tmp_path):
    """Each of the table's files is absent or whole, and the same bytes in the end."""
    study = run.again(tmp_path / "again", "results")
    name = run.table()
    render = ("render", name, "--scale", "smoke")
    assert attempt(study.root, *render, kill_at=0) == 0
    chosen = events(study.root)
    expected = {path: path.read_bytes() for path in study.table_paths(name).values()}
    folder = next(iter(expected)).parent
    for n in chosen:
        shutil.rmtree(folder, ignore_errors=True)
        assert attempt(study.root, *render, kill_at=n) == KILLED, n
        assert all(path.read_bytes() == content for path, content in expected.items() if path.exists()), n
    assert attempt(study.root, *render) == 0
    assert {path: path.read_bytes() for path in expected} == expected
    record("a table: killed at each change on the disk of its making", *[len(chosen)] * 2)
