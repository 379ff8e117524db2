"""What a run leaves for others to read: why it failed, or its measurements and what made them."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fasa import atomic
from fasa.errors import UserError
from fasa.tasks.lease import Busy
from fasa.tasks.provenance import environment
from fasa.tasks.task import Job, Run


def forget_failure(job: Job) -> None:
    """Take away the note of an earlier attempt's failure."""
    _failure_path(job).unlink(missing_ok=True)


def note_failure(job: Job, error: Exception) -> None:
    """Write ``failed.json`` for a training that ``error`` ended; a bug of ours is printed with its place, too."""
    if not isinstance(error, UserError):
        traceback.print_exception(error)
    if not isinstance(error, Busy):  # the run that another process trains has not failed
        message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        try:
            atomic.write_json(_failure_path(job), {"message": message})
        except UserError as full:  # as the disk may be that ended the training: that is to be told, and others go on
            print(f"fasa: {full}", file=sys.stderr)


@contextmanager
def noting_failure(job: Job, failures: dict[Run, Exception]) -> Iterator[None]:
    """Train ``job`` inside: an error is noted, put into ``failures`` and goes no further; an earlier note is gone."""
    forget_failure(job)
    try:
        yield
    except Exception as error:
        failures[job.run] = error
        note_failure(job, error)


def read_trained(job: Job, name: str) -> Any:
    """The JSON file ``name`` that the training of ``job`` left in its work folder.

    Raises:
        UserError: it is missing or damaged.
    """
    path = job.work_dir / name
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is missing or damaged; train that run again, it resumes at its end.") from error


def write_metrics(
    job: Job,
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
    made_by = environment(job.root)
    metrics = {
        "recipe": job.run.recipe,
        "scale": job.scale_name,
        "seed": job.run.seed,
        "fingerprint": job.fingerprint,
        "dataset": dataset,
        "config": config,
        "code_version": made_by["code_version"],
        "packages": made_by["packages"],
        **cost,
        **classes,
        "measurements": measurements,
    }
    command = f"fasa train {job.run.recipe} --seed {job.run.seed} --scale {job.scale_name}"
    took = {"evaluation_seconds": round(time.monotonic() - started, 3)}
    atomic.write_json(job.metrics.with_name("provenance.json"), {**made_by, **cost, **took, "command": command})
    atomic.write_json(job.metrics, metrics)
    return job.metrics


def _failure_path(job: Job) -> Path:
    return job.work_dir / "failed.json"
