"""Train and measure runs of detectors, one after the other."""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence
from pathlib import Path

from fasa import atomic
from fasa.detection.inference import write_detections
from fasa.detection.manifest import read_manifest
from fasa.detection.measurements import internals, score
from fasa.detection.training import train as train_one
from fasa.detection.training import trained_detector
from fasa.errors import UserError
from fasa.experiments import Run, Study
from fasa.experiments.provenance import environment
from fasa.lease import Busy


def train(study: Study, runs: Sequence[Run]) -> dict[Run, Exception]:
    """Train ``runs``; the failed ones and why. The others go on."""
    failures: dict[Run, Exception] = {}
    for run in runs:
        failed = study.work_dir(run.recipe, run.seed) / "failed.json"
        failed.unlink(missing_ok=True)
        try:
            train_one(study, run)
        except Exception as error:
            failures[run] = error
            if not isinstance(error, UserError):  # a bug of ours: the log needs to know where
                traceback.print_exception(error)
            if not isinstance(error, Busy):  # the run that another process trains has not failed
                message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                atomic.write_json(failed, {"message": message})
    return failures


def evaluate(study: Study, run: Run) -> Path:
    """Measure a finished run: detections, then ``provenance.json`` and, last, ``metrics.json``; the latter's path.

    Raises:
        UserError: the run is not trained, its files are damaged, or an older recipe made them.
    """
    recipe, folder = study.recipe(run.recipe), study.work_dir(run.recipe, run.seed)
    manifest = read_manifest(study.pack_path(run.recipe))
    detector, images, heldout = trained_detector(study, run)
    detections = folder / "detections.npz"
    write_detections(detector, images, detections)
    cost, history = (_read(folder / name) for name in ("cost.json", "history.json"))
    made_by = environment(study.root)
    metrics = {
        "recipe": run.recipe,
        "scale": study.scale.name,
        "seed": run.seed,
        "fingerprint": study.fingerprint(run.recipe),
        "dataset": manifest.name,
        "config": recipe.model_dump(),
        "code_version": made_by["code_version"],
        "packages": made_by["packages"],
        **cost,
        "class_names": list(manifest.category_names),
        "class_counts": list(manifest.instance_counts),
        "frequencies": list(manifest.frequencies),
        "measurements": score(manifest, detections) | internals(detector, heldout, history),
    }
    provenance = {**made_by, **cost, "command": f"fasa train {run.recipe} --seed {run.seed} --scale {study.scale.name}"}
    path = study.metrics_path(run.recipe, run.seed)
    atomic.write_json(path.with_name("provenance.json"), provenance)
    atomic.write_json(path, metrics)
    return path


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is missing or damaged; train that run again, it resumes at its end.") from error
