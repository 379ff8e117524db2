"""Weights that somebody else trained and published: fetched once, checked by the digits in their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS

from fasa import torch_files
from fasa.datasets.download import fetch, fits, named_checksum
from fasa.errors import UserError
from fasa.tasks.detection.config_files import config_files
from fasa.tasks.detection.configs import layered
from fasa.tasks.task import Job

HEADLESS = ("fc.",)  # the classifier of ImageNet, which no detector has


def provide(job: Job) -> Path:
    """The file that the backbone of a run starts from, fetched where it is missing or damaged.

    Raises:
        UserError: no mirror has it, or the folder cannot be written.
    """
    path, urls = _wanted(job)
    fetch(urls, path, named_checksum(path))
    check(job)
    return path


def check(job: Job) -> None:
    """Make sure that the file that a run starts from is there, whole, and fits its backbone.

    Raises:
        UserError: it is not.
    """
    path, _ = _wanted(job)
    mend = f"fetch it with: fasa pretrain {job.run.recipe} --scale {job.scale_name}"
    if not path.exists():
        raise UserError(f"{path} is missing; {mend}.")
    if not fits(path, named_checksum(path)):
        raise UserError(f"{path} has another SHA-256 than its name says; delete it and {mend}.")
    check_fit(path, layered(config_files(job.root, job.declared, job.scale)).model)


def check_fit(path: Path, model: Mapping[str, Any]) -> None:
    """Make sure that ``path`` holds every weight of the backbone of ``model``: mmengine leaves out what does not fit.

    Raises:
        UserError: it does not.
    """
    content = torch_files.read(path, "delete it, and it is fetched again")
    given = {key: tensor for key, tensor in content.get("state_dict", content).items() if not key.startswith(HEADLESS)}
    own = MODELS.build({**model["backbone"], "init_cfg": None}).state_dict()
    counters = {key for key in own if key.endswith("num_batches_tracked")}  # older files lack them; nothing reads them
    wrong = [key for key in own.keys() - counters if key not in given or own[key].shape != given[key].shape]
    if wrong:
        raise UserError(f"{path} does not fit the backbone ({min(wrong)} for one); name another file in the scale.")


def _wanted(job: Job) -> tuple[Path, tuple[str, ...]]:
    if job.first_weights is None:
        raise UserError(f"scale '{job.scale_name}' names no weights for '{job.run.recipe}'.")
    return job.first_weights, job.scale.weights[job.recipe.backbone]
