"""What a run leaves for others to read: why it failed, or its measurements and what made them."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from fasa import atomic
from fasa.errors import UserError
from fasa.study.lease import Busy
from fasa.study.provenance import environment
from fasa.study.study import Run, Study


def forget_failure(study: Study, run: Run) -> None:
    """Take away the note of an earlier attempt's failure."""
    _failure_path(study, run).unlink(missing_ok=True)


def note_failure(study: Study, run: Run, error: Exception) -> None:
    """Write ``failed.json`` for a training that ``error`` ended; a bug of ours is printed with its place, too."""
    if not isinstance(error, UserError):
        traceback.print_exception(error)
    if not isinstance(error, Busy):  # the run that another process trains has not failed
        message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        try:
            atomic.write_json(_failure_path(study, run), {"message": message})
        except UserError as full:  # as the disk may be that ended the training: that is to be told, and others go on
            print(f"fasa: {full}", file=sys.stderr)


def read_trained(study: Study, run: Run, name: str) -> Any:
    """The JSON file ``name`` that the training of ``run`` left in its work folder.

    Raises:
        UserError: it is missing or damaged.
    """
    path = study.work_dir(run.recipe, run.seed) / name
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is missing or damaged; train that run again, it resumes at its end.") from error


def write_metrics(
    study: Study,
    run: Run,
    cost: dict[str, Any],
    config: dict[str, Any],
    dataset: str,
    classes: dict[str, list[Any]],
    measurements: dict[str, Any],
    started: float,
) -> Path:
    """Write ``provenance.json`` and, last, ``metrics.json`` of a trained run; the latter's path.

    Args:
        cost: what the training's ``cost.json`` says.
        config: all that decided the run, as it was resolved at this scale.
        dataset: name of the data set.
        classes: ``class_names``, ``class_counts`` (training) and whatever else is known of each class, in class order.
        measurements: what was read off the run.
        started: when measuring began, by ``time.monotonic``.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    made_by = environment(study.root)
    metrics = {
        "recipe": run.recipe,
        "scale": study.scale.name,
        "seed": run.seed,
        "fingerprint": study.fingerprint(run.recipe),
        "dataset": dataset,
        "config": config,
        "code_version": made_by["code_version"],
        "packages": made_by["packages"],
        **cost,
        **classes,
        "measurements": measurements,
    }
    command = f"fasa train {run.recipe} --seed {run.seed} --scale {study.scale.name}"
    path = study.metrics_path(run.recipe, run.seed)
    took = {"evaluation_seconds": round(time.monotonic() - started, 3)}
    atomic.write_json(path.with_name("provenance.json"), {**made_by, **cost, **took, "command": command})
    atomic.write_json(path, metrics)
    return path


def _failure_path(study: Study, run: Run) -> Path:
    return study.work_dir(run.recipe, run.seed) / "failed.json"
