"""Train and measure runs of detectors, one after the other."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fasa import atomic
from fasa.errors import UserError
from fasa.evaluation import load_detections, load_ground_truth
from fasa.study import Run, Study
from fasa.study.records import forget_failure, note_failure, read_trained, write_metrics
from fasa.tasks.detection import norcal, topk_inference
from fasa.tasks.detection.bookkeeping import COST_FILE
from fasa.tasks.detection.examples import examples
from fasa.tasks.detection.inference import image_paths, write_detections
from fasa.tasks.detection.iteration_cost import IterationCost
from fasa.tasks.detection.manifest import read_manifest
from fasa.tasks.detection.measurements import BEST_OF_CLASSES, cost, counts_by_category, internals, score
from fasa.tasks.detection.training import train as train_one
from fasa.tasks.detection.training import trained_detector
from fasa.tasks.termination import at_once


def train(study: Study, runs: Sequence[Run]) -> dict[Run, Exception]:
    """Train ``runs``; the failed ones and why. The others go on.

    SIGTERM ends the process and saves nothing: an epoch's random numbers follow from its first step, so within it there
    is no moment to go on from with the same bits. What was trained since the last epoch's end is lost.
    """
    failures: dict[Run, Exception] = {}
    for run in runs:
        forget_failure(study, run)
        try:
            with at_once():
                train_one(study, run)
        except Exception as error:
            failures[run] = error
            note_failure(study, run, error)
    return failures


def evaluate(study: Study, run: Run, started: float | None = None) -> Path:
    """Measure a finished run: detections, ``examples.json``, and last ``metrics.json``; the latter's path.

    ``started`` is when that began by ``time.monotonic``, where it was before this call.

    Raises:
        UserError: the run is not trained, its files are damaged, an older recipe made them, or a table asks for what
            this detector does not have.
    """
    started = time.monotonic() if started is None else started
    check_norcal(study, run.recipe)
    recipe, folder = study.recipe(run.recipe), study.work_dir(run.recipe, run.seed)
    manifest = read_manifest(study.pack_path(run.recipe))
    detector, images, heldout = trained_detector(study, run)
    trained, history = (read_trained(study, run, name) for name in ("cost.json", "history.json"))
    truth = load_ground_truth(manifest.val.annotations)
    counts = counts_by_category(manifest, truth)
    detections, best = folder / "detections.npz", folder / "best_of_classes.npz"
    write_detections(detector, images, detections)
    if asks_for_best_of_classes(study, run.recipe):
        topk_inference.write_detections(detector, images, best, truth)
    else:
        best = None
    bins = counts if study.recipes[run.recipe].data.name == "coco_lt" else None  # on the scale's data, whatever it is
    measured = score(truth, detections, best, bins) | internals(detector, heldout, history)
    if asks_for_norcal(study, run.recipe):
        measured["norcal"] = norcal.measure(detector, images, truth, torch.tensor(manifest.image_counts), folder)
    measured["cost"] = cost(_iterations(study, run), history)
    shown = examples(truth, load_detections(detections), image_paths(images), counts)
    atomic.write_json(study.metrics_path(run.recipe, run.seed).with_name("examples.json"), {"examples": shown})
    return write_metrics(
        study,
        run,
        trained,
        config=recipe.model_dump(),
        dataset=manifest.name,
        classes={
            "class_names": list(manifest.category_names),
            "class_counts": list(manifest.instance_counts),
            "frequencies": list(manifest.frequencies),
        },
        measurements=measured,
        started=started,
    )


def asks_for_best_of_classes(study: Study, recipe: str) -> bool:
    """Whether a row of a table prints AP-Fixed or AP-Pool of ``recipe``, which takes an inference of its own."""
    return bool(study.asked(recipe) & {*BEST_OF_CLASSES})


def check_norcal(study: Study, recipe: str) -> None:
    """See that NorCal can be measured on ``recipe`` if a row of a table prints it, which takes inferences of its own.

    Raises:
        UserError: the detector's scores are no softmax, which NorCal's formula is of.
    """
    made = study.recipe(recipe)
    if asks_for_norcal(study, recipe) and (made.loss.name in ("eql", "bags") or made.calibrated):
        raise UserError(
            f"a row of a table asks for NorCal of '{recipe}', whose scores are no softmax over the classes and the "
            "background; give the row another recipe."
        )


def asks_for_norcal(study: Study, recipe: str) -> bool:
    """Whether a row of a table prints NorCal of ``recipe``."""
    return "norcal" in study.asked(recipe)


def _iterations(study: Study, run: Run) -> dict[str, Any]:
    """What the training measured of its iterations; nulls where it did not, as before there was such a file.

    Raises:
        UserError: the file is damaged.
    """
    path = study.checkpoint_dir(run.recipe, run.seed) / COST_FILE
    if not path.exists():
        return IterationCost().measured()
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged; delete it, and the run's cost stays unknown.") from error
