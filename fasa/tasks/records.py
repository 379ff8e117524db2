"""What a run leaves for others to read: why it failed, or its measurements and what made them."""

from __future__ import annotations

import errno
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fasa import sealed
from fasa.errors import Unprepared, UserError
from fasa.tasks.lease import Busy
from fasa.tasks.provenance import environment
from fasa.tasks.task import Job, Run

FAILED = "failed.json"
TRAINED = ("cost.json", "history.json", FAILED)  # in a run's work folder
MEASURED = ("metrics.json", "provenance.json", "examples.json")  # among the results
DISK = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST)


def forget_failure(job: Job) -> None:
    """Take away the note of an earlier attempt's failure."""
    with suppress(OSError):  # it is not there, or nothing can be written, which the training will tell
        (job.work_dir / FAILED).unlink()


def note_failure(job: Job, error: Exception) -> Exception:
    """Write ``failed.json`` for a training that ``error`` ended; a bug of ours is printed with its place, too.

    A run whose data are missing, or that another process trains, has not failed. The error comes back, that of a disk
    in a sentence.
    """
    if isinstance(error, OSError) and error.errno in DISK:
        error = UserError(f"{error.filename} cannot be written ({error.strerror}): mend that, and train again.")
    if not isinstance(error, UserError):
        traceback.print_exception(error)
    if not isinstance(error, Busy | Unprepared):
        message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        try:
            write_trained(job, FAILED, {"message": message})
        except UserError as full:  # as the disk may be that ended the training: that is to be told, and others go on
            print(f"fasa: {full}", file=sys.stderr)
    return error


@contextmanager
def noting_failure(job: Job, failures: dict[Run, Exception]) -> Iterator[None]:
    """Train ``job`` inside: an error is noted, put into ``failures`` and goes no further; an earlier note is gone."""
    forget_failure(job)
    try:
        yield
    except Exception as error:
        failures[job.run] = note_failure(job, error)


def identity(run: Run, scale: str, kind: str, fingerprint: str | None = None) -> dict[str, Any]:
    """What the files of a run say that they are of (:mod:`fasa.sealed`)."""
    of = {"kind": kind, "recipe": run.recipe, "scale": scale, "seed": run.seed}
    return of if fingerprint is None else {**of, "fingerprint": fingerprint}


def write_trained(job: Job, name: str, content: Mapping[str, Any]) -> None:
    """Leave a JSON file ``name`` in the work folder of ``job``, for :func:`read_trained`.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    sealed.write(job.work_dir / name, identity_of(job, Path(name).stem), content)


def read_trained(job: Job, name: str) -> dict[str, Any]:
    """The JSON file ``name`` that the training of ``job`` left in its work folder.

    Raises:
        UserError: it is missing, damaged or another run's.
    """
    mend = f"train that run again, it resumes at its end: {_command(job)}"
    return sealed.read(job.work_dir / name, identity_of(job, Path(name).stem), mend)


def why_failed(work_dir: Path, run: Run, scale: str) -> str:
    """The message of a failed run's ``failed.json``."""
    path = work_dir / FAILED
    try:
        return str(sealed.read(path, identity(run, scale, "failed"), "see the log")["message"])
    except (UserError, KeyError):
        return f"{path} does not say why; see logs/{scale}/train."


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
        cost: what the training's ``cost.json`` says; its attempts are told in ``provenance.json`` alone.
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
        **{key: value for key, value in cost.items() if key != "attempts"},
        **classes,
        "measurements": measurements,
    }
    took = {"evaluation_seconds": round(time.monotonic() - started, 3)}
    provenance = {**made_by, **cost, **took, "command": _command(job)}
    sealed.write(job.metrics.with_name("provenance.json"), identity_of(job, "provenance"), provenance)
    sealed.write(job.metrics, identity_of(job, "metrics"), metrics)
    return job.metrics


def identity_of(job: Job, kind: str) -> dict[str, Any]:
    """:func:`identity` of a run as its task sees it."""
    return identity(job.run, job.scale_name, kind, job.fingerprint)


def _command(job: Job) -> str:
    return f"fasa train {job.run.recipe} --seed {job.run.seed} --scale {job.scale_name}"
