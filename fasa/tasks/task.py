"""A task: one way of turning a recipe into weights and measurements. All that differs between tasks stands behind this.

A task is a folder beside this file whose ``task.py`` has a ``TASK``; nothing else in the project names one.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from fasa.errors import UserError
from fasa.tasks.recipe import Recipe, TaskScale


@dataclass(frozen=True, order=True)
class Run:
    """A recipe at a study's scale with a seed: trained once, however many tables use it."""

    recipe: str
    seed: int


@dataclass(frozen=True, eq=False)
class Job:
    """A run as its task sees it: what to train, from what, and where its files lie.

    Attributes:
        run: recipe and seed.
        scale_name: the scale, for messages and results.
        declared: the recipe as configs/ has it.
        recipe: the same at this scale.
        scale: the task's part of the scale.
        fingerprint: hash of all that decides the run but its seed.
        root: the study's folder.
        data: the prepared data.
        first_weights: what a backbone starts from; None where the recipe or its config says.
        work_dir: where the run leaves its weights and history.
        metrics: its measurements.
        measurements: those that rows of tables print, by the first part of their names.
        needed: the runs that it starts from, by recipe.
    """

    run: Run
    scale_name: str
    declared: Any
    recipe: Any
    scale: Any
    fingerprint: str
    root: Path
    data: Path
    first_weights: Path | None
    work_dir: Path
    metrics: Path
    measurements: frozenset[str]
    needed: dict[str, Job]

    @cached_property
    def checkpoints(self) -> Path:
        """Where it keeps its checkpoints: a changed recipe starts in a new folder, and the old one stays."""
        return self.work_dir / "checkpoints" / self.fingerprint

    @property
    def weights(self) -> Path:
        """The weights that its training leaves."""
        return self.work_dir / "model.pt"

    def __str__(self) -> str:
        return f"{self.run.recipe} seed {self.run.seed}"


class Task(ABC):
    """What the rest of the project asks of a task; until :meth:`train` nothing of it loads torch.

    ``name`` is the key of its part in a scale, ``recipe_model`` what it runs, ``scale_model`` its part of a scale, and
    ``packages`` those that it needs beside torch. ``measurements`` are the numbers that it measures, by the names that
    tables ask for; ``optional_measurements``, by the first part of their names, are made only for tables that print
    them. ``undrawn`` are the kinds of figures that its measurements are not enough for, or mean nothing.
    """

    name: ClassVar[str]
    recipe_model: ClassVar[type[Recipe]]
    scale_model: ClassVar[type[TaskScale]]
    packages: ClassVar[tuple[str, ...]] = ()
    measurements: ClassVar[tuple[str, ...]]
    optional_measurements: ClassVar[tuple[str, ...]] = ()
    compared: ClassVar[Mapping[str, str]] = MappingProxyType({})
    undrawn: ClassVar[frozenset[str]] = frozenset()
    measuring_version: ClassVar[int] = 1  # raise when measurements change: the workflow makes them again

    # -------------------------------------------------------------------------------------------------------- planning
    @abstractmethod
    def at_scale(self, recipe: Any, scale: Any, where: str) -> Recipe:
        """``recipe`` at a scale; ``where`` is what a UserError calls it."""

    def unsupported_reason(self, recipe: Any, scale: Any) -> str | None:
        """Why this task cannot run ``recipe`` at a scale, as what the scale has: "one device"; None where it can."""
        return None

    @abstractmethod
    def decided_by(self, declared: Any, recipe: Any, scale: Any, root: Path) -> dict[str, Any]:
        """What else than the recipe decides a run, ready for JSON: it enters the fingerprint."""

    def precision(self, scale: Any) -> str:
        """Of a training: ``fp32`` or ``bf16``."""
        return "fp32"

    @abstractmethod
    def training_seconds(self, recipe: Any, scale: Any) -> float:
        """A guess of the device seconds of one training, 0 where there is none."""

    @abstractmethod
    def akin(self, recipe: Any) -> Hashable:
        """What recipes share whose epochs take about the same time."""

    # ------------------------------------------------------------------------------------------ data and first weights
    @abstractmethod
    def data_path(self, root: Path, recipe: Any) -> Path:
        """The prepared data of a recipe: one file for each way to cut a data set."""

    @abstractmethod
    def prepare(self, root: Path, recipe: Any, source: Path | None) -> Path:
        """Make that file from ``source``, or from a download; it stays where it is there and whole."""

    def check(self, root: Path, recipe: Any, source: Path | None) -> tuple[list[str], list[str]]:
        """Facts and problems of the user's copy of official files, all of them, in sentences."""
        raise UserError("This data is checked as it is read; leave out --check.")

    def first_weights(self, root: Path, scale_name: str, recipe: Any, scale: Any) -> Path | None:
        """The file that a backbone starts from; None where its config says, or it starts from nothing."""
        return None

    def first_weights_addresses(self, recipe: Any, scale: Any) -> tuple[str, ...]:
        """Where that file can be downloaded from, best first; empty where it is made, or there is none."""
        return ()

    def provide_first_weights(self, job: Job) -> Path:
        """Fetch or make that file."""
        raise UserError(f"scale '{job.scale_name}' pre-trains nothing for '{job.run.recipe}'; choose another.")

    # --------------------------------------------------------------------------------------------- training, measuring
    @abstractmethod
    def train(self, jobs: Sequence[Job], device: str | None) -> dict[Run, Exception]:
        """Train ``jobs``, on ``device`` or the best there is; the failed ones and why. The others go on."""

    @abstractmethod
    def evaluate(self, job: Job, device: str | None, started: float) -> Path:
        """Measure a finished run; the path of its metrics.json. ``started`` is by ``time.monotonic``."""

    def verify(self, job: Job) -> int:
        """Compare figures with the official tools', printing what differs; how many do."""
        return 0

    def dump_config(self, job: Job) -> str:
        """The run as a config of its framework's own tools."""
        raise UserError("--dump-config prints the MMDetection config of one detector with one --seed; name those.")


@cache
def tasks() -> dict[str, Task]:
    """Every task by its name."""
    folders = [found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.ispkg]
    found: list[Task] = [importlib.import_module(f"fasa.tasks.{folder}.task").TASK for folder in folders]
    return {task.name: task for task in found}


def measurements_of(recipe: Recipe) -> tuple[str, ...]:
    """The numbers that the tasks which take ``recipe`` measure, by name."""
    able = [task for task in tasks().values() if isinstance(recipe, task.recipe_model)]
    return tuple(dict.fromkeys(name for task in able for name in task.measurements))
