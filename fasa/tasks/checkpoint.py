"""Checkpoints of a training: written whole, two kept, the newest that loads is used."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from fasa import torch_files
from fasa.errors import UserError
from fasa.tasks.task import Job

KEPT = 2


def save_checkpoint(job: Job, epoch: int, state: dict[str, Any]) -> None:
    """Write ``state``, and whose it is, as the checkpoint of ``job`` after ``epoch`` epochs.

    Older ones but the last are deleted afterwards.
    """
    folder, of = job.checkpoints, {"fingerprint": job.fingerprint, "seed": job.run.seed}
    torch_files.write(folder / f"epoch-{epoch:05d}.pt", of | state)
    for old in sorted(folder.glob("epoch-*.pt"))[:-KEPT]:
        old.unlink()


def newest_checkpoint(job: Job) -> dict[str, Any] | None:
    """The newest checkpoint of ``job`` that loads; None where there is none.

    One line is printed for each that does not load, as after a full disk or the death of a node.

    Raises:
        UserError: it was written by another recipe, or is of another seed.
    """
    folder = job.checkpoints
    for path, other in torch_files.each_with_the_one_before(sorted(folder.glob("epoch-*.pt"))):
        try:
            state = torch_files.read(path, other)
        except UserError as error:
            print(f"fasa: {error}", file=sys.stderr)
            continue
        if other_run := foreign(state, job):
            raise UserError(f"{path} is a checkpoint of another {other_run}; delete {folder} to train from the start.")
        return state
    return None


def foreign(stamp: Mapping[str, Any], job: Job) -> str | None:
    """In what a file with ``stamp`` is of another run than ``job``; None where it is its own."""
    if stamp.get("fingerprint") != job.fingerprint:
        return "version of its recipe"
    if stamp.get("seed", job.run.seed) != job.run.seed:  # older files have none
        return "seed"
    return None
