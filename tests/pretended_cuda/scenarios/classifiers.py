"""Trainings of classifiers: every recipe, in graphs beside all others and eager alone; resumed ones; measuring."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from pretended_cuda import strictness
from pretended_cuda.scenarios import fasa_alone
from pretended_cuda.trainings import CUDA, DifferentError, check_same, eager, graphed, tiny_study
from toys_study import tiny_dataset

from fasa.errors import UserError
from fasa.study import Run
from fasa.tasks.classification import session, training
from fasa.tasks.classification.graphs import GraphedStep
from fasa.tasks.classification.training import Training
from fasa.tasks.devices import choose_device

# Augmenters of classifiers that no recipe of configs/ joins to one.
FURTHER = {
    "smote": {"base": "ldam", "augmenter": {"name": "smote"}},
    "moex": {"base": "ce", "augmenter": {"name": "moex"}},
}


def prepare() -> None:
    """Forbid what the project promises not to do."""
    strictness.of_fasa()
    strictness.of_classifiers()


def every_recipe(folder: Path) -> dict[str, Any]:
    """All in one command, with what was captured; then each alone."""
    together, alone = (tiny_study(folder / name, FURTHER) for name in ("together", "alone"))
    names = [name for name in together.resolved if together.task(name).name == "classification"]
    made: list[GraphedStep] = []

    def noted(*arguments: Any) -> GraphedStep:
        made.append(GraphedStep(*arguments))
        return made[-1]

    with patch.object(training, "GraphedStep", noted):
        graphed([together.job(Run(name, 0)) for name in names])
    different = []
    for name in names:
        eager(alone.job(Run(name, 0)))
        try:
            check_same(together.job(Run(name, 0)), alone.job(Run(name, 0)))
        except DifferentError as error:
            different.append(str(error))
    if different:
        raise DifferentError("; ".join(different))
    return {"recipes": names, "captured": [step.step.__self__.name for step in made if step.graphs]}  # type: ignore[attr-defined]


def graphed_is_eager(folder: Path, name: str = "ldam_fasa", **changes: Any) -> None:
    """One recipe, alone in both ways."""
    first, second = (tiny_study(folder / way, FURTHER, **changes).job(Run(name, 0)) for way in ("graphed", "eager"))
    graphed([first])
    eager(second)
    check_same(first, second)


def side_by_side_is_alone(folder: Path) -> None:
    """Two seeds of a recipe and another recipe, in graphs beside each other and each alone."""
    together, alone = (tiny_study(folder / name) for name in ("together", "alone"))
    runs = [Run("ldam_fasa", 0), Run("ldam_fasa", 1), Run("ldam", 0)]
    graphed([together.job(run) for run in runs])
    for run in runs:
        graphed([alone.job(run)])
        check_same(together.job(run), alone.job(run))


def resumed_is_uninterrupted(folder: Path) -> None:
    """Ended after the second epoch, and gone on with in graphs."""
    stopped, whole = (tiny_study(folder / n, checkpoint_seconds=0).job(Run("ldam_fasa", 0)) for n in ("a", "b"))
    eager(stopped, until=2)
    graphed([stopped])
    graphed([whole])
    check_same(stopped, whole)


def checkpoint_of_the_cpu(folder: Path) -> dict[str, Any]:
    """A training begun on the CPU is refused on the device, in a sentence."""
    job = tiny_study(folder, checkpoint_seconds=0).job(Run("ldam_fasa", 0))
    run = Training(job, tiny_dataset(), torch.device("cpu")).run()
    while next(run) < 1:
        pass
    run.close()
    try:
        graphed([job])
    except UserError as error:
        return {"refused": str(error)}
    raise AssertionError("it was not refused")


def measured(folder: Path) -> None:
    """The command's choice of a device; a run of each head is measured there."""
    study = tiny_study(folder)
    jobs = [study.job(Run(name, 0)) for name in ("ce", "ldam_fasa", "tde_fasa")]
    assert choose_device(jobs[0], "cuda") == CUDA
    graphed(jobs)
    for job in jobs:
        session.evaluate(job, CUDA, time.monotonic())


def in_bf16(folder: Path) -> None:
    """Autocast in a capture."""
    graphed_is_eager(folder, precision="bf16")


SCENARIOS: dict[str, Callable[[Path], dict[str, Any] | None]] = fasa_alone.SCENARIOS | {
    function.__name__.replace("_", " "): function
    for function in (
        every_recipe,
        graphed_is_eager,
        resumed_is_uninterrupted,
        checkpoint_of_the_cpu,
        measured,
        in_bf16,
    )
}
