"""The weights of a finished run: a plain dictionary of tensors and whose they are, which mmdet loads, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from fasa import torch_files
from fasa.errors import UserError
from fasa.tasks.checkpoint import foreign
from fasa.tasks.records import write_trained
from fasa.tasks.task import Job

MEND = "train that run: what is done of it is kept"


def leave(job: Job, model: nn.Module, cost: Mapping[str, Any], history: Any) -> None:
    """Write all that a finished training leaves: ``cost.json``, ``history.json`` and, last, the weights.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    write_trained(job, "cost.json", cost)
    write_trained(job, "history.json", {"epochs": history})
    state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    torch_files.write(job.weights, {"state_dict": state, "fingerprint": job.fingerprint, "seed": job.run.seed})


def load(job: Job, model: nn.Module) -> None:
    """Fill ``model`` with the weights that :func:`leave` wrote for the same run.

    Raises:
        UserError: the file is missing, damaged, another run's, or does not fit.
    """
    state = _read(job)["state_dict"]
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        told = f"does not fit its recipe ({str(error).splitlines()[0]})"
        raise UserError(f"{job.weights} {told}; train it again.") from error


def check(job: Job) -> None:
    """Make sure that the weights of ``job`` are there, and its own; UserError else."""
    _read(job)


def _read(job: Job) -> dict[str, Any]:
    path = job.weights
    content = torch_files.read(path, MEND)
    if other_run := foreign(content, job):
        raise UserError(f"{path} is of another {other_run}; {MEND}.")
    if not isinstance(content.get("state_dict"), dict):
        raise UserError(f"{path} is of a version that wrote it otherwise; {MEND}.")
    return content
