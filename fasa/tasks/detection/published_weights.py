"""Weights that somebody else trained and published: fetched once, checked by the digits in their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS

from fasa import torch_files
from fasa.datasets.download import fetch, fits, named_checksum
from fasa.errors import UserError
from fasa.study import Study
from fasa.tasks.detection.configs import layered

HEADLESS = ("fc.",)  # the classifier of ImageNet, which no detector has


def provide(study: Study, name: str) -> Path:
    """The file that the backbone of recipe ``name`` starts from, fetched where it is missing or damaged.

    Raises:
        UserError: no mirror has it, or the folder cannot be written.
    """
    path, urls = _wanted(study, name)
    fetch(urls, path, named_checksum(path))
    check(study, name)
    return path


def check(study: Study, name: str) -> None:
    """Make sure that the file that recipe ``name`` starts from is there, whole, and fits its backbone.

    Raises:
        UserError: it is not.
    """
    path, _ = _wanted(study, name)
    mend = f"fetch it with: fasa pretrain {name} --scale {study.scale.name}"
    if not path.exists():
        raise UserError(f"{path} is missing; {mend}.")
    if not fits(path, named_checksum(path)):
        raise UserError(f"{path} has another SHA-256 than its name says; delete it and {mend}.")
    check_fit(path, layered(study.config_files(study.recipe(name))).model)


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


def _wanted(study: Study, name: str) -> tuple[Path, tuple[str, ...]]:
    path = study.pretrained_path(name)
    if path is None:
        raise UserError(f"scale '{study.scale.name}' names no weights for '{name}'.")
    return path, study.scale.detection.weights[study.recipe(name).backbone]
