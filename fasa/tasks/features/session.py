"""Train and measure runs on fixed features, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.progress import Progress

from fasa.tasks import weights
from fasa.tasks.features.measurements import measure
from fasa.tasks.features.training import Training
from fasa.tasks.records import noting_failure, read_trained, write_metrics
from fasa.tasks.task import Job, Run
from fasa.tasks.termination import deferred


def train(jobs: Sequence[Job]) -> dict[Run, Exception]:
    """Train ``jobs``; the failed ones and why. The others go on.

    Raises:
        Terminated: SIGTERM came; the run was saved at the end of its epoch.
    """
    failures: dict[Run, Exception] = {}
    with Progress(disable=None) as progress, deferred() as told_to_stop:  # type: ignore[arg-type]  # None: if no terminal
        for job in jobs:
            bar = progress.add_task(str(job), total=job.recipe.schedule.epochs)
            with noting_failure(job, failures):
                for epoch in Training(job).run(told_to_stop):
                    progress.update(bar, completed=epoch)
    return failures


def evaluate(job: Job, started: float) -> Path:
    """Measure a finished run and write its ``provenance.json`` and, last, its ``metrics.json``; the latter's path.

    ``started`` is when that began by ``time.monotonic``.

    Raises:
        UserError: the run is not trained, its files are damaged, or an older recipe made them.
    """
    torch.set_num_threads(job.scale.threads)
    training = Training(job)
    weights.load(job, training.head)
    cost, training.history = read_trained(job, "cost.json"), read_trained(job, "history.json")["epochs"]
    manifest = training.manifest
    return write_metrics(
        job,
        cost,
        config={**job.recipe.model_dump(), "geometry": asdict(training.features.geometry)},
        dataset=manifest.name,
        classes={
            "class_names": list(manifest.category_names),
            "class_counts": list(manifest.instance_counts),
            "frequencies": list(manifest.frequencies),
        },
        measurements=measure(training, "norcal" in job.measurements),
        started=started,
    )
