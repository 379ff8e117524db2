"""What runs are doing, from what they leave on disk: states, what is left, the page on a terminal and in a browser."""

from __future__ import annotations

import io
import json
import os
from html.parser import HTMLParser

import pytest
from rich.console import Console
from toys_study import leave, leave_metrics

from fasa import atomic
from fasa.cli import main
from fasa.reporting import status_screen
from fasa.reporting.status_page import render_status, span
from fasa.study import Run, load_study
from fasa.study.status import Watch
from fasa.tasks import heartbeat
from fasa.tasks.heartbeat import NAME, Heartbeat

SENTENCE = "the loss is no longer finite <b>at epoch 3</b>; lower the rate."


@pytest.fixture
def study(make_study):
    """Classifiers whose runs are guessed to take 100 seconds, and 10 to be measured."""
    return make_study(seconds={"resnet32": 100, "resnet34": 100}, evaluate_seconds=10)


def finish(study, run):
    leave_metrics(study, run.recipe, run.seed)


def fail(study, run, message=SENTENCE):
    leave(study, run.recipe, run.seed, "failed.json", {"message": message})


def start(study, run, monkeypatch, elapsed=60.0):
    """A training of 10 epochs that did 2 of them in ``elapsed`` seconds."""
    now = [1000.0]
    with monkeypatch.context() as patch:
        patch.setattr(heartbeat.time, "monotonic", lambda: now[0])
        one = Heartbeat(study.job(run), 10)
        one.beat(1.0, 2.0, 30.0)
        now[0] += elapsed
        one.beat(3.0, 1.5, 90.0)


def silence(study, run, seconds):
    path = study.work_dir(run.recipe, run.seed) / NAME
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "updated": content["updated"] - seconds}))


# ------------------------------------------------------------------------------------------------------------- states
def test_a_training_that_is_silent_was_stopped(study, monkeypatch):
    watch, run = Watch(study), Run("ce", 0)
    assert watch.look().states[run] == "missing"
    start(study, run, monkeypatch)
    assert watch.look().states[run] == "running"  # before its first checkpoint
    silence(study, run, 130)
    assert watch.look().states[run] == "missing"  # nothing of it is left
    atomic.write_bytes(study.checkpoint_dir("ce", 0) / "epoch-3.pt", b"")
    assert study.state("ce", 0) == "training" and watch.look().states[run] == "stopped"
    start(study, run, monkeypatch)
    seen = watch.look()
    assert seen.states[run] == "running" and seen.beats[run].loss == 1.5
    leave(study, "ce", 0, "cost.json", {})
    (study.work_dir("ce", 0) / "model.pt").touch()
    assert watch.look().states[run] == "trained"  # its last beat is seconds old
    finish(study, run)
    assert watch.look().states[run] == "done"
    assert study.missing_reason("ce", 1) == "not run"


def test_what_was_measured_is_read_once_and_seen_to_go(study, monkeypatch):
    run, other = Run("ce", 0), Run("ce", 1)
    finish(study, run)
    finish(study, other)
    watch = Watch(study)
    assert watch.look().counts()["done"] == 2
    read = []
    state = type(study).state
    monkeypatch.setattr(type(study), "state", lambda self, *run: read.append(Run(*run)) or state(self, *run))
    assert watch.look().counts()["done"] == 2 and not {run, other} & {*read}
    study.metrics_path("ce", 0).unlink()
    atomic.write_text(study.metrics_path("ce", 1), "torn")
    seen = watch.look()
    assert (seen.states[run], seen.states[other]) == ("missing", "failed")
    assert "metrics.json is damaged; delete it" in seen.failures[0].message


def test_failures_are_told_the_last_one_first(study):
    for age, seed in ((50, 0), (5, 1)):
        fail(study, Run("ce", seed), f"failure {seed}")
        path = study.work_dir("ce", seed) / "failed.json"
        os.utime(path, (1e9 - age, 1e9 - age))
    for content in ("torn", "", "[]", "null", '{"message": "of before checksums"}'):
        atomic.write_text(study.work_dir("ldam", 0) / "failed.json", content)
        messages = [failure.message for failure in Watch(study).look().failures]
        assert "does not say why; see logs/tiny/train" in messages[0]
        assert "does not say why" in study.missing_reason("ldam", 0)
    assert messages[1:] == ["failure 1", "failure 0"]


def test_what_is_left_is_shared_by_those_that_run(study, monkeypatch):
    watch = Watch(study)
    for run in watch.runs:
        finish(study, run)
    assert watch.look().over and watch.look().remaining is None
    waiting = [Run("ce", 0), Run("ce", 1), Run("ldam", 0)]
    for run in waiting:
        study.metrics_path(run.recipe, run.seed).unlink()
    assert not watch.look().over and watch.look().remaining is None  # nothing runs
    start(study, waiting[0], monkeypatch)
    start(study, waiting[1], monkeypatch, elapsed=20.0)
    seen = watch.look()
    assert seen.running_ends == pytest.approx(7 * 30)  # 7 epochs of 30 s
    # Two run side by side: 7 epochs of 30 s and of 10 s; akin to them, which took 90 device seconds for 3 of 10 epochs,
    # a training of 300; three to measure for 10 s.
    assert seen.remaining == pytest.approx((210 + 70 + 300 + 3 * 10) / 2)


def test_an_unfinished_training_of_a_detector_is_seen(make_study):
    study = make_study(
        detection={
            "data": {
                "lvis": {
                    "name": "glyphs",
                    "options": {"classes": 4, "train_images": 8, "val_images": 4, "side": 64, "objects": [1, 2]},
                }
            },
            "model": "small",
        }
    )
    assert study.state("rfs", 0) == "missing"
    atomic.write_bytes(study.checkpoint_dir("rfs", 0) / "epoch_3.pth", b"")
    assert study.state("rfs", 0) == "training" and Watch(study).look().states[Run("rfs", 0)] == "stopped"
    fail(study, Run("rfs", 0), "no disk")
    assert study.missing_reason("rfs", 0) == "failed: no disk"


# -------------------------------------------------------------------------------------------------------------- pages
class Page(HTMLParser):
    """The text of an HTML page, and that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text = [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, _):
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_of_the_whole_paper_is_small_and_whole(study_root, monkeypatch):
    study = load_study(study_root, "paper")
    watch = Watch(study)
    for number, run in enumerate(watch.runs):
        (finish if number % 3 else fail)(study, run)
    start(study, watch.runs[0], monkeypatch)
    (study.work_dir(watch.runs[0].recipe, watch.runs[0].seed) / "failed.json").unlink()
    text = render_status(study, watch.look())
    assert len(text.encode()) < 100_000
    assert "<b>at epoch 3" not in text and "http-equiv" in text and "<script" not in text and "//" not in text
    page = Page(text)
    runs = len(watch.runs)
    failed = len(range(0, runs, 3)) - 1  # the first is at work again; the page tells of 20
    assert f"scale paper: {runs - failed - 1} of {runs} runs done" in page.text
    assert SENTENCE in page.text and "3.0 / 10" in page.text and "1.5000" in page.text
    assert f"… and {failed - 20} more" in page.text
    assert all(name in page.text for name in study.default_artifacts())


def test_the_page_says_which_seeds_are_done_in_words_that_stand_apart(study, monkeypatch):
    monkeypatch.chdir(study.root)
    finish(study, Run("ldam", 0))
    page = Page(render_status(study, Watch(study).look())).text
    assert "ldam: seed 0 done; seed 1 missing" in page and "ce: seeds 0, 1 missing" in page
    assert "Nothing runs now. As of " in page


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "—"), (-3, "0 s"), (59.4, "59 s"), (90, "2 min"), (3599, "1 h 00"), (11100, "3 h 05"), (187200, "2 d 4 h")],
)
def test_lengths_of_time(seconds, words):
    assert span(seconds) == words


def on_a_terminal(study, monkeypatch, sleep):
    out = io.StringIO()
    monkeypatch.setattr(status_screen.time, "sleep", sleep)
    status_screen.watch(study, 2.0, Console(file=out, force_terminal=True, width=100, height=40))
    return out.getvalue()


def test_watching_ends_with_the_last_run(study, monkeypatch):
    watch = Watch(study)
    for run in watch.runs[1:]:
        finish(study, run)
    start(study, watch.runs[0], monkeypatch)
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 2:
            finish(study, watch.runs[0])

    shown = on_a_terminal(study, monkeypatch, sleep)
    assert slept == [2.0, 2.0]
    assert "3.0/10" in shown and f"{len(watch.runs)} of {len(watch.runs)} done" in shown
    assert "Nothing is left to run" in (study.results / "status.html").read_text()


def test_ctrl_c_ends_watching_in_peace(study, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    assert "0 running" in on_a_terminal(study, monkeypatch, interrupt)


def test_the_command_shows_a_summary_a_page_or_once_what_it_would_watch(study, monkeypatch, capsys):
    monkeypatch.chdir(study.root)
    start(study, Run("ce", 0), monkeypatch)
    fail(study, Run("ce", 1))
    assert main(["status", "--scale", "tiny"]) == 0
    text = capsys.readouterr().out
    assert f"ce seed 1: {SENTENCE}" in text
    (line,) = [line for line in text.splitlines() if "│ all" in line]
    total = len(Watch(study).runs)
    cells = [cell.strip() for cell in line.split("│")[1:-1]]
    assert cells == ["all", "·", "·", "1", "·", "·", "1", str(total - 2)]
    assert not (study.results / "status.html").exists()
    assert main(["status", "--scale", "tiny", "--html"]) == 0
    assert capsys.readouterr().out.strip() == "results/tiny/status.html"
    Page((study.results / "status.html").read_text())
    assert main(["status", "--scale", "tiny", "--watch"]) == 0
    assert "1 running, 1 failed" in capsys.readouterr().out  # no terminal: once
    for never in ("0", "nan", "inf"):
        assert main(["status", "--scale", "tiny", "--watch", "--every", never]) == 2
        assert "--every wants seconds above 0" in capsys.readouterr().err
