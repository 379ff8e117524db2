"""Runs of the table, side by side, each to its metrics.json; they go on from their checkpoints."""

from __future__ import annotations

import json
import time
from typing import Any

from benchmarks.gpu.here import Here
from fasa.study import Run
from fasa.tasks.classification import session
from fasa.tasks.heartbeat import read_heartbeat
from fasa.tasks.task import Job
from fasa.tasks.termination import Terminated


def train(here: Here, seed: str, *recipes: str) -> None:
    """Train and measure a seed of ``recipes`` and of what they need, all at once; what was measured before is kept.

    Raises:
        SystemExit: some failed, each told; or it was told to stop, and each is saved.
    """
    wanted = tuple(Run(recipe, int(seed)) for recipe in recipes)
    jobs = [here.job(run) for run in here.study.with_needed(wanted)]
    todo = [job for job in jobs if not _measured(job)]
    try:
        failures = session.train(todo, here.device) if todo else {}
    except Terminated:
        for job in todo:
            _tell_how_far(here, job)
        raise
    for run, error in failures.items():
        here.fail(f"{run.recipe} seed {run.seed}: {type(error).__name__}: {error}")
    for job in jobs:
        if job.run not in failures:
            if not _measured(job):
                session.evaluate(job, here.device, time.monotonic())
            _tell(here, job)
    if failures:
        raise SystemExit(1)


def _tell_how_far(here: Here, job: Job) -> None:
    beat = read_heartbeat(job.work_dir, job.fingerprint)
    if beat is not None:
        told = f"{job}: about {beat.epoch:.0f} of {beat.epochs} epochs in {beat.seconds:.0f} s, saved"
        here.say(str(job), told, epoch=beat.epoch, epochs=beat.epochs, seconds=beat.seconds)


def _measured(job: Job) -> bool:
    return job.metrics.exists() and _metrics(job)["fingerprint"] == job.fingerprint


def _metrics(job: Job) -> dict[str, Any]:
    return json.loads(job.metrics.read_text())


def _tell(here: Here, job: Job) -> None:
    metrics = _metrics(job)
    accuracy, seconds = metrics["measurements"]["accuracy"], metrics["device_seconds"]
    here.say(
        str(job),
        f"{job}: {100 * accuracy['last']:.2f} % (best epoch {100 * accuracy['best']:.2f}), {seconds:.0f} s",
        accuracy=accuracy,
        device_seconds=seconds,
        metrics=str(job.metrics.relative_to(here.out)),
    )
