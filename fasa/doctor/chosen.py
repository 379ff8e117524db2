"""The runs that the doctor is asked about, and what they ask of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fasa.errors import UserError, closest
from fasa.study import Run, Study

MMDET = "onedl-mmdetection"


class FirstWeights(NamedTuple):
    """A file that a backbone starts from: downloaded from one of ``urls``, or trained by the workflow without any."""

    recipe: str
    path: Path
    urls: Sequence[str]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Runs of ``study`` and all that they start from, needed ones first."""

    study: Study
    runs: tuple[Run, ...]

    @cached_property
    def recipes(self) -> tuple[str, ...]:
        """The recipes of the runs, each once."""
        return tuple(dict.fromkeys(run.recipe for run in self.runs))

    @cached_property
    def states(self) -> dict[Run, str]:
        """The state of each run; ``damaged`` where its measurements cannot be read."""
        return {run: self._state(run) for run in self.runs}

    def _state(self, run: Run) -> str:
        try:
            return self.study.state(run.recipe, run.seed)
        except UserError:
            return "damaged"

    @cached_property
    def to_train(self) -> tuple[Run, ...]:
        """Those whose training is still to come, or to end."""
        return tuple(run for run, state in self.states.items() if state not in ("done", "trained", "damaged"))

    @cached_property
    def gpus(self) -> int:
        """GPUs of the widest run; 0 where none wants any."""
        return max((self.study.task_scale(name).resources.get("gpu", 0) for name in self.recipes), default=0)

    @cached_property
    def mmdet(self) -> bool:
        """Whether a run needs MMDetection and the packages that are installed with it."""
        return any(MMDET in self.study.task(name).packages for name in self.recipes)

    @cached_property
    def bf16(self) -> bool:
        """Whether a run trains in bfloat16."""
        study = self.study
        return any(study.task(name).precision(study.task_scale(name)) == "bf16" for name in self.recipes)

    def first_weights(self) -> list[FirstWeights]:
        """The files that backbones start from, each once, for the first recipe that reads it."""
        found: dict[Path, FirstWeights] = {}
        study = self.study
        for name in self.recipes:
            if path := study.first_weights(name):
                urls = study.task(name).first_weights_addresses(study.recipe(name), study.task_scale(name))
                found.setdefault(path, FirstWeights(name, path, urls))
        return [found[path] for path in sorted(found)]


def choose(study: Study, names: Sequence[str]) -> Chosen:
    """What the tables, figures and recipes ``names`` need; all that the scale has where none is named.

    Raises:
        UserError: one of them is none of the three, or this scale cannot run it.
    """
    runs: list[Run] = [] if names else list(study.runs())
    for name in names:
        if name in study.recipes:
            study.recipe(name)  # refuses what is of another scale
            runs += [Run(name, seed) for seed in study.seeds(name)]
        elif name in study.artifacts() or name in study.unavailable:
            runs += study.runs(name)
        else:
            near = closest(name, [*study.artifacts(), *study.resolved])
            raise UserError(f"there is no table, figure or recipe '{name}'{near}; fasa plan lists all.")
    return Chosen(study, study.with_needed(tuple(dict.fromkeys(runs))))
