"""The bar of a training that another program runs: it follows the heartbeat, where a terminal shows it."""

from __future__ import annotations

import threading
import time

from rich.progress import Progress

from fasa.study import Run
from fasa.tasks import progress as module
from fasa.tasks.heartbeat import Heartbeat
from fasa.tasks.progress import following


def test_it_stands_where_the_heartbeat_is(study, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    job = study.job(Run("ce", 0))
    epochs = job.recipe.schedule.epochs
    shown = Progress(disable=False, auto_refresh=False)
    with following(job, shown):
        (bar,) = shown.tasks
        assert (bar.description, bar.completed, bar.total) == ("ce seed 0", 0, epochs)
        Heartbeat(job, epochs).beat(1.5, None, 1.0)
        limit = time.monotonic() + 10
        while not bar.completed and time.monotonic() < limit:
            time.sleep(0.01)
        assert bar.completed == 1.5
    assert bar.completed == epochs


def test_it_ends_with_a_failed_training_and_starts_nothing_without_a_terminal(study):
    before = threading.active_count()
    for disabled in (False, True):
        shown = Progress(disable=disabled, auto_refresh=False)
        try:
            with following(study.job(Run("ce", 0)), shown):
                assert threading.active_count() == before + (not disabled)
                raise RuntimeError
        except RuntimeError:
            assert threading.active_count() == before
    assert not shown.tasks
