"""Train and measure runs: several side by side in one process, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fasa.augmenters.base import ImageContext, augmenter_class
from fasa.datasets import LongTailDataset, load_pack
from fasa.errors import Unprepared, UserError
from fasa.tasks import weights
from fasa.tasks.classification.classifier import Classifier
from fasa.tasks.classification.measurements import measure
from fasa.tasks.classification.training import Training
from fasa.tasks.devices import check_precision
from fasa.tasks.records import forget_failure, note_failure, read_trained, write_metrics
from fasa.tasks.task import Job, Run
from fasa.tasks.termination import Terminated, deferred


def load_data(job: Job) -> LongTailDataset:
    """The prepared data of a run.

    Raises:
        Unprepared: it is missing.
        UserError: it is damaged.
    """
    if not job.data.exists():
        raise Unprepared(f"{job.data} is missing; run: fasa data {job.run.recipe} --scale {job.scale_name}")
    return load_pack(job.data)


def _loaded(job: Job) -> LongTailDataset | UserError:
    """:func:`load_data`, or its one sentence for all runs that share the data."""
    try:
        return load_data(job)
    except UserError as error:
        return error


def train(jobs: Sequence[Job], device: torch.device) -> dict[Run, Exception]:
    """Train ``jobs``, those of a turn round-robin, a step of each; the failed ones and why. The others go on.

    Every run has its own generator, so what stands beside it changes nothing. On a GPU each has its own stream and its
    steps are launches that do not wait, so the runs overlap.

    Raises:
        Terminated: SIGTERM came; each run was saved at the end of its epoch.
        UserError: they are to train in bf16 on a processor that has none.
    """
    check_precision(jobs[0], device)
    torch.set_num_threads(jobs[0].scale.threads)
    failures: dict[Run, Exception] = {}
    with _progress() as progress, deferred() as told_to_stop:
        for turn in _turns(jobs):
            # Where the shapes of a batch vary, cuDNN would search for its fastest kernels again and again.
            torch.backends.cudnn.benchmark = _graphable(turn[0])
            _side_by_side(turn, device, progress, told_to_stop, failures)
    return failures


def _turns(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs that can stand side by side: a run comes after those that it needs, and none that waits for the device at
    every step beside one that does not, which it would hold up."""
    left = list(jobs)
    while left:
        untrained = {job.run for job in left}
        ready = [job for job in left if not untrained & {needed.run for needed in job.needed.values()}]
        for graphable in (True, False):
            if turn := [job for job in ready if _graphable(job) == graphable]:
                yield turn
        left = [job for job in left if job not in ready]


def _graphable(job: Job) -> bool:
    return augmenter_class(job.recipe.augmenter.name, ImageContext, f"recipe '{job.run.recipe}'").graphable


def _side_by_side(
    jobs: Sequence[Job],
    device: torch.device,
    progress: Progress,
    told_to_stop: Callable[[], bool],
    failures: dict[Run, Exception],
) -> None:
    packs: dict[Path, LongTailDataset | UserError] = {}
    left = None

    def fail(job: Job, error: Exception) -> None:
        failures[job.run] = note_failure(job, error)

    active = {}
    for job in jobs:
        forget_failure(job)
        try:
            if job.data not in packs:
                packs[job.data] = _loaded(job)
            data = packs[job.data]
            if isinstance(data, UserError):
                raise data
            training = Training(job, data, device)
            bar = progress.add_task(str(job), total=training.recipe.schedule.epochs)
            stream = torch.cuda.Stream(device) if device.type == "cuda" else None
            active[job] = training.run(told_to_stop), bar, stream
        except Exception as error:
            fail(job, error)
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # what was built on the default stream is there before others read it
    while active:
        for job, (steps, bar, stream) in list(active.items()):
            try:
                with torch.cuda.stream(stream):  # nothing, where there is none
                    progress.update(bar, completed=next(steps))
            except StopIteration:
                progress.update(bar, completed=progress.tasks[bar].total)
                del active[job]
            except Terminated as error:
                left = error
                del active[job]
            except Exception as error:
                fail(job, error)
                del active[job]
    if left:
        raise left


def evaluate(job: Job, device: torch.device, started: float) -> Path:
    """Measure a finished run and write its ``provenance.json`` and, last, its ``metrics.json``; the latter's path.

    ``started`` is when that began by ``time.monotonic``.

    Raises:
        UserError: the run is not trained, its files are damaged, or an older recipe made them.
    """
    torch.set_num_threads(job.scale.threads)
    recipe = job.recipe
    dataset = load_data(job)
    options = job.scale.backbones.get(recipe.backbone, {})
    classifier = Classifier(recipe, len(dataset.class_counts), options)
    weights.load(job, classifier)
    cost, history = read_trained(job, "cost.json"), read_trained(job, "history.json")["epochs"]
    return write_metrics(
        job,
        cost,
        config={**recipe.model_dump(), "backbone_options": options, "precision": job.scale.precision},
        dataset=dataset.name,
        classes={
            "class_names": list(dataset.class_names),
            "class_counts": [int(n) for n in dataset.class_counts],
        },
        measurements={
            **measure(classifier.to(device), recipe, dataset, history, device),
            "cost": {"seconds": round(_training_seconds(job), 1)},
        },
        started=started,
    )


def _training_seconds(job: Job) -> float:
    """Device seconds of a run's training and of those that it starts from or learns from."""
    return read_trained(job, "cost.json")["device_seconds"] + sum(map(_training_seconds, job.needed.values()))


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, transient=False, disable=None)  # type: ignore[arg-type]  # None: if there is no terminal
