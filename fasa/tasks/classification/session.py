"""Train and measure runs: several side by side in one process, each as if it were alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fasa.datasets import LongTailDataset, load_pack
from fasa.errors import UserError
from fasa.study import Run, Study
from fasa.study.records import forget_failure, note_failure, read_trained, write_metrics
from fasa.tasks.classification.classifier import Classifier, load_classifier
from fasa.tasks.classification.measurements import measure
from fasa.tasks.classification.training import Training
from fasa.tasks.termination import Terminated, deferred


def choose_device(name: str | None) -> torch.device:
    """The device ``name``, or the best there is.

    Raises:
        UserError: there is no such device.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name} is not to be had here; leave it out or say cpu.") from error
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    return device


def load_data(study: Study, recipe: str) -> LongTailDataset:
    """The prepared data of a recipe.

    Raises:
        UserError: it was not prepared.
    """
    path = study.pack_path(recipe)
    if not path.exists():
        raise UserError(f"{path} is missing; run: fasa data {recipe} --scale {study.scale.name}")
    return load_pack(path)


def train(study: Study, runs: Sequence[Run], device: torch.device) -> dict[Run, Exception]:
    """Train ``runs`` round-robin, a step of each in turn; the failed ones and why. The others go on.

    Every run has its own generator, so what stands beside it changes nothing. On a GPU each has its own stream and its
    steps are launches that do not wait, so the runs overlap.

    Raises:
        Terminated: SIGTERM came; each run was saved at the end of its epoch.
    """
    torch.set_num_threads(study.scale.threads)
    packs: dict[Path, LongTailDataset] = {}
    failures: dict[Run, Exception] = {}
    left = None

    def fail(run: Run, error: Exception) -> None:
        failures[run] = error
        note_failure(study, run, error)

    with _progress() as progress, deferred() as told_to_stop:
        active = {}
        for run in runs:
            forget_failure(study, run)
            try:
                pack = study.pack_path(run.recipe)
                if pack not in packs:
                    packs[pack] = load_data(study, run.recipe)
                training = Training(study, run.recipe, run.seed, packs[pack], device)
                task = progress.add_task(f"{run.recipe} seed {run.seed}", total=training.recipe.schedule.epochs)
                stream = torch.cuda.Stream(device) if device.type == "cuda" else None
                active[run] = training.run(told_to_stop), task, stream
            except Exception as error:
                fail(run, error)
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # what was built on the default stream is there before others read it
        while active:
            for run, (steps, task, stream) in list(active.items()):
                try:
                    with torch.cuda.stream(stream):  # nothing, where there is none
                        progress.update(task, completed=next(steps))
                except StopIteration:
                    progress.update(task, completed=progress.tasks[task].total)
                    del active[run]
                except Terminated as error:
                    left = error
                    del active[run]
                except Exception as error:
                    fail(run, error)
                    del active[run]
    if left:
        raise left
    return failures


def evaluate(study: Study, run: Run, device: torch.device, started: float | None = None) -> Path:
    """Measure a finished run and write its ``provenance.json`` and, last, its ``metrics.json``; the latter's path.

    ``started`` is when that began by ``time.monotonic``, where it was before this call.

    Raises:
        UserError: the run is not trained, its files are damaged, or an older recipe made them.
    """
    started = time.monotonic() if started is None else started
    torch.set_num_threads(study.scale.threads)
    recipe, folder = study.recipe(run.recipe), study.work_dir(run.recipe, run.seed)
    dataset = load_data(study, run.recipe)
    options = study.scale.backbones.get(recipe.backbone, {})
    classifier = Classifier(recipe, len(dataset.class_counts), options)
    load_classifier(folder / "model.pt", classifier, study.fingerprint(run.recipe))
    cost, history = (read_trained(study, run, name) for name in ("cost.json", "history.json"))
    return write_metrics(
        study,
        run,
        cost,
        config={**recipe.model_dump(), "backbone_options": options, "precision": study.scale.precision},
        dataset=dataset.name,
        classes={
            "class_names": list(dataset.class_names),
            "class_counts": [int(n) for n in dataset.class_counts],
        },
        measurements=measure(classifier.to(device), recipe, dataset, history, device),
        started=started,
    )


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, transient=False, disable=None)
