"""Train and measure runs of detectors, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.progress import Progress

from fasa import sealed
from fasa.datasets.manifest import check_files, read_manifest
from fasa.errors import UserError
from fasa.evaluation import load_detections, load_ground_truth
from fasa.tasks.detection import norcal, topk_inference
from fasa.tasks.detection.examples import examples
from fasa.tasks.detection.inference import image_paths, write_detections
from fasa.tasks.detection.measurements import BEST_OF_CLASSES, cost, counts_by_category, internals, score
from fasa.tasks.detection.training import train as train_one
from fasa.tasks.detection.training import trained_detector
from fasa.tasks.progress import following
from fasa.tasks.records import identity_of, noting_failure, read_trained, write_metrics
from fasa.tasks.task import Job, Run
from fasa.tasks.termination import at_once


def train(jobs: Sequence[Job]) -> dict[Run, Exception]:
    """Train ``jobs``; the failed ones and why. The others go on.

    SIGTERM ends the process and saves nothing: an epoch's random numbers follow from its first step, so within it there
    is no moment to go on from with the same bits. What was trained since the last epoch's end is lost.
    """
    failures: dict[Run, Exception] = {}
    with Progress(disable=not sys.stdout.isatty()) as progress:
        for job in jobs:
            with noting_failure(job, failures), at_once(), following(job, progress):
                train_one(job)
    return failures


def evaluate(job: Job, started: float) -> Path:
    """Measure a finished run: detections, ``examples.json``, and last ``metrics.json``; the latter's path.

    ``started`` is when that began by ``time.monotonic``.

    Raises:
        UserError: the run is not trained, its files are damaged, an older recipe made them, or a table asks for what
            this detector does not have.
    """
    check_norcal(job)
    folder = job.work_dir
    manifest = read_manifest(job.data)
    check_files(job.data)
    detector, images, heldout = trained_detector(job)
    trained, history = read_trained(job, "cost.json"), read_trained(job, "history.json")["epochs"]
    iterations = trained.pop("iterations")
    truth = load_ground_truth(manifest.val.annotations)
    counts = counts_by_category(manifest, truth)
    detections, best = folder / "detections.npz", None
    write_detections(detector, images, detections)
    if job.measurements & {*BEST_OF_CLASSES}:  # they take an inference of their own
        best = folder / "best_of_classes.npz"
        topk_inference.write_detections(detector, images, best, truth)
    bins = counts if job.declared.data.name == "coco_lt" else None  # on the scale's data, whatever it is
    measured = score(truth, detections, best, bins) | internals(detector, heldout, history)
    if "norcal" in job.measurements:
        measured["norcal"] = norcal.measure(detector, images, truth, torch.tensor(manifest.image_counts), folder)
    measured["cost"] = cost(iterations, history)
    shown = examples(truth, load_detections(detections), image_paths(images), counts)
    sealed.write(job.metrics.with_name("examples.json"), identity_of(job, "examples"), {"examples": shown})
    return write_metrics(
        job,
        trained,
        config=job.recipe.model_dump(),
        dataset=manifest.name,
        classes={
            "class_names": list(manifest.category_names),
            "class_counts": list(manifest.instance_counts),
            "frequencies": list(manifest.frequencies),
        },
        measurements=measured,
        started=started,
    )


def check_norcal(job: Job) -> None:
    """See that NorCal can be measured on a run if a row of a table prints it, which takes inferences of its own.

    Raises:
        UserError: the detector's scores are no softmax, which NorCal's formula is of.
    """
    recipe = job.recipe
    if "norcal" in job.measurements and (recipe.loss.name in ("eql", "bags") or recipe.calibrated):
        raise UserError(
            f"a row of a table asks for NorCal of '{job.run.recipe}', whose scores are no softmax over the classes and "
            "the background; give the row another recipe."
        )
