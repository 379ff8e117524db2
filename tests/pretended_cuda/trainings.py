"""Trainings of classifiers on the device, in graphs as the command trains them and eager; whether they are the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from toys_study import TINY_CLASSIFICATION, tiny_dataset, write_root

from fasa.datasets.pack import save_pack
from fasa.study import Study, load_study
from fasa.tasks.classification import session
from fasa.tasks.classification.training import Training
from fasa.tasks.task import Job

CUDA = torch.device("cuda")
# Four epochs of three steps, the last one short: each size is captured, at both rates, after the steps that warm it.
SCALE = {
    **TINY_CLASSIFICATION,
    "epochs": 0.02,
    "schedule": {"batch_size": 32},
    "backbones": {
        "resnet32": {"blocks": [1], "width": 4},
        "resnet32_two_branch": {"blocks": [1, 1], "width": 4},
        "resnet34": {"blocks": [1, 1], "width": 8},
    },
    "checkpoint_seconds": 3600,
    "evaluate_every": 4,
}


class DifferentError(AssertionError):
    """Two trainings that must be the same are not."""


def tiny_study(folder: Path, recipes: dict[str, Any] | None = None, **changes: Any) -> Study:
    """The tests' tiny study in ``folder``, its data prepared, with further recipes and a changed scale."""
    root = write_root(folder)
    (root / "configs/recipes/of_this_scenario.yaml").write_text(yaml.safe_dump(recipes or {}))
    scale = {"description": "A few steps.", "classification": {**SCALE, **changes}}
    (root / "configs/scales/tiny.yaml").write_text(yaml.safe_dump(scale))
    study = load_study(root, "tiny")
    save_pack(study.data_path("ce"), tiny_dataset())
    return study


def graphed(jobs: Sequence[Job]) -> None:
    """Train as the command does: side by side, in graphs where that can be."""
    for error in session.train(jobs, CUDA).values():
        raise error


def eager(job: Job, until: int | None = None) -> Training:
    """Train without a graph, alone; ``until`` ends it after so many epochs."""
    training = Training(job, tiny_dataset(), CUDA)
    training.step = training._step
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda.synchronize()
        run = training.run()
        for epoch in run:
            if epoch == until:
                run.close()
                break
    return training


def check_same(one: Job, other: Job) -> None:
    """Compare all that two trainings leave, to the bit.

    Raises:
        DifferentError: they are not the same.
    """
    first, second = (torch.load(job.weights, weights_only=True)["state_dict"] for job in (one, other))
    for key, value in first.items():
        if not torch.equal(value, second[key]):
            worst = (value.double() - second[key].double()).abs().max().item()
            raise DifferentError(f"{one}: {key} differs by {worst:.3g}")
    histories = [json.loads((job.work_dir / "history.json").read_text())["epochs"] for job in (one, other)]
    if histories[0] != histories[1]:
        raise DifferentError(f"{one}: the histories differ")
