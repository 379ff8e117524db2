"""Runs that nothing befalls, to compare disturbed ones with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from attempts import attempt, copy
from outcomes import measured, trained

from fasa.study import Study, load_study

ROOT = Path(__file__).parents[2]


class Undisturbed(NamedTuple):
    """A run that nothing befell, trained and evaluated."""

    study: Study
    recipe: str
    events: list[int]  # on the disk, while it was trained, at which it is to be killed
    evaluation_events: list[int]
    trained: dict
    measured: dict

    def command(self, name: str = "train") -> tuple[str, ...]:
        """The arguments of ``fasa`` that train, or evaluate, this run."""
        return (name, self.recipe, "--seed", "0", "--scale", "smoke", "--device", "cpu")

    def table(self) -> str:
        """A table that prints this run."""
        return next(name for name, table in self.study.tables.items() if self.recipe in table.recipes())

    def again(self, folder: Path, *parts: str) -> Study:
        """The study in a new root ``folder`` with the same data, and copies of ``parts``."""
        return load_study(copy(self.study.root, folder, *parts), "smoke")


def with_few_scenes(folder: Path, **changes: Any) -> None:
    """Let detectors of the scale smoke train on as many batches, of two images instead of eight; other ``changes``."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    path = folder / "configs/scales/smoke.yaml"
    scale = yaml.safe_load(path.read_text())
    scale["detection"]["schedule"]["batch_size"] = 2
    scale["detection"]["data"]["lvis"]["options"] |= {"train_images": 8, "val_images": 4}
    scale["detection"] |= changes
    path.write_text(yaml.safe_dump(scale, sort_keys=False))


def undisturbed(folder: Path, recipe: str, chosen: Callable[[Path], list[int]]) -> Undisturbed:
    """Prepare the data, train and evaluate; ``chosen`` events are to be tried."""
    with_few_scenes(folder)
    study = load_study(folder, "smoke")
    run = Undisturbed(study, recipe, [], [], {}, {})
    assert attempt(folder, "data", recipe, "--scale", "smoke") == 0
    assert attempt(folder, *run.command(), kill_at=0) == 0
    training = chosen(folder)
    assert attempt(folder, *run.command("evaluate"), kill_at=0) == 0
    return Undisturbed(study, recipe, training, chosen(folder), trained(study, recipe), measured(study, recipe))
