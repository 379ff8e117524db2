"""The runs that faults befall on the cluster, and what they have written so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

RECIPE, SEEDS = "ldam_fasa", (0, 1, 2)


class Watch:
    """The newest checkpoint of a clone's run, over time."""

    def __init__(self, clone, seed: int = 0) -> None:
        self.clone = clone
        self.folder = clone.study("long").checkpoint_dir(RECIPE, seed)
        self.seen: list[str] = []

    def __call__(self) -> str:
        newest = max((path.name for path in self.folder.glob("epoch-*.pt")), default="")
        if not self.seen or self.seen[-1] != newest:
            self.seen.append(newest)
        return newest

    def begun(self) -> bool:
        """Whether it has written checkpoints."""
        self()
        return len(self.seen) > 3

    def until_begun(self, head) -> str:
        """The number of the job that trains, as soon as it has written checkpoints."""
        wait_for(lambda: self.begun() or head.process.poll() is not None)
        assert head.process.poll() is None, head.text[-3000:]
        (job,) = self.clone.cluster.jobs()
        return job

    def never_went_back(self) -> bool:
        """Whether no checkpoint was followed by an earlier one: nothing was trained twice."""
        return len(self.seen) > 3 and self.seen == sorted(self.seen)


def wait_for(condition: Callable[[], Any], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def metrics(seed: int = 0) -> str:
    """The measurements of a run, in its clone."""
    return f"results/long/runs/{RECIPE}/seed-{seed}/metrics.json"
