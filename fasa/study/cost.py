"""What a study costs before it starts: devices, hours, memory, disk; measured where it can be, else guessed."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from statistics import fmean as mean
from typing import Literal, NamedTuple

from fasa import sealed
from fasa.errors import UserError
from fasa.study.loading import without_collector
from fasa.study.study import Study
from fasa.tasks.heartbeat import read_heartbeat
from fasa.tasks.task import Run

GB = 1e9
MARGIN = (
    1.5  # of a job's run time over its estimate: nodes differ, and a job that is cut short waits in the queue again
)
Kind = tuple[str, Hashable]  # of recipes whose epochs take about as long: their task, and what it says of them
LEAST_MINUTES, STEP_MINUTES = 30, 10


class Estimate(NamedTuple):
    """Device seconds of one training, and where they are from.

    ``measured`` is on the recipe's own seeds, ``running`` on one that trains now, ``akin`` on other recipes of the same
    detector, backbone and data, by epochs; ``guessed`` is the scale's word.
    """

    seconds: float
    source: Literal["measured", "running", "akin", "guessed"]


@dataclass(frozen=True)
class RunPlan:
    """A run, what its training and its measuring take (device seconds), and what it asks a machine for.

    What it takes is looked up when it is asked for: of thousands of runs that are done, nothing is left to estimate.
    """

    run: Run
    state: str
    gpus: int
    memory_gb: float
    costs: Costs = field(repr=False, compare=False)

    @property
    def training(self) -> Estimate:
        """What its training takes."""
        return self.costs.training(self.run.recipe)

    @property
    def evaluation(self) -> float:
        """Device seconds of measuring it."""
        return self.costs.evaluation(self.run.recipe)

    @property
    def disk_gb(self) -> float:
        """What it leaves: checkpoints, weights, detections."""
        return self.costs.disk_gb(self.run.recipe)

    @property
    def to_train(self) -> bool:
        """Whether its training is still to come, or to end."""
        return self.state not in ("done", "trained")

    @property
    def seconds(self) -> float:
        """Device seconds that are still to come, as if an unfinished training began anew."""
        return (self.training.seconds if self.to_train else 0.0) + (self.evaluation if self.state != "done" else 0.0)


@dataclass(frozen=True)
class Plan:
    """Runs of a table, a figure, or any list, those still to train, and what that takes.

    ``gpus`` and ``memory_gb`` are of the widest and of the largest job. ``seconds`` are of devices (CPU processes, or
    all GPUs of a run), measuring included; of the runs to train, ``measured`` have other seeds, or recipes akin, that
    were timed. ``disk_gb`` is what all the runs leave. ``elapsed`` are seconds on ``cores``, None where that is not
    known or runs want GPUs.
    """

    name: str
    runs: int
    to_train: int
    gpus: int
    seconds: float
    measured: int
    memory_gb: float
    disk_gb: float
    cores: int | None
    elapsed: float | None


class Costs:
    """What runs of ``study`` cost, by recipe; what others measure meanwhile is not seen."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.training = cache(self._training)
        self.disk_gb = cache(self._disk_gb)
        self.evaluation = cache(self._evaluation)
        self._own = cache(self._own_seconds)
        self._measuring = cache(self._measuring_seconds)
        # By kind: there may be thousands of recipes akin to thousands.
        self._epoch = cache(self._epoch_seconds)
        self._measuring_akin = cache(self._measuring_seconds_of_kind)

    def of(self, run: Run, state: str) -> RunPlan:
        """The plan of one run that is in ``state``."""
        asked = self.study.task_scale(run.recipe).resources
        return RunPlan(run, state, asked.get("gpu", 0), asked.get("mem_mb", 0) / 1000, self)

    def _training(self, recipe: str) -> Estimate:
        if own := self._own(recipe):
            return own
        if (epoch := self._epoch(self._kind(recipe))) is not None:
            return Estimate(epoch * self.study.recipe(recipe).schedule.epochs, "akin")
        guess = self.study.task(recipe).training_seconds(self.study.recipe(recipe), self.study.task_scale(recipe))
        return Estimate(guess, "guessed")

    def _epoch_seconds(self, kind: Kind) -> float | None:
        """Of the recipes of a ``kind`` that were timed, whose epochs take about as long; None where none was."""
        timed = [(found.seconds, name) for name in self._kinds[kind] if (found := self._own(name))]
        return mean(seconds / self.study.recipe(name).schedule.epochs for seconds, name in timed) if timed else None

    def _kind(self, recipe: str) -> Kind:
        task = self.study.task(recipe)
        return task.name, task.akin(self.study.recipe(recipe))

    @cached_property
    def _kinds(self) -> dict[Kind, list[str]]:
        kinds: dict[Kind, list[str]] = {}
        for name in self.study.resolved:
            kinds.setdefault(self._kind(name), []).append(name)
        return kinds

    def _own_seconds(self, recipe: str) -> Estimate | None:
        """Of the runs of ``recipe`` that have ended, or else of those that train."""
        seeds = self.study.seeds(recipe)
        ended = [found for seed in seeds if (found := _measured(self.study, recipe, seed)) is not None]
        if ended:
            return Estimate(mean(ended), "measured")
        fingerprint = self.study.fingerprint(recipe)
        last = (read_heartbeat(self.study.work_dir(recipe, seed), fingerprint) for seed in seeds)
        beats = [beat for beat in last if beat and beat.epoch >= 1]
        if beats:
            return Estimate(mean(beat.seconds / beat.epoch * beat.epochs for beat in beats), "running")
        return None

    def _evaluation(self, recipe: str) -> float:
        """Device seconds of measuring one run of ``recipe``: as its own or recipes akin took, or else a guess."""
        if (own := self._measuring(recipe)) is not None:
            return own
        akin = self._measuring_akin(self._kind(recipe))
        return akin if akin is not None else self.study.task_scale(recipe).evaluate_seconds

    def _measuring_seconds_of_kind(self, kind: Kind) -> float | None:
        """The mean over the recipes of a ``kind`` that say what measuring them took; None where none does."""
        akin = [took for name in self._kinds[kind] if (took := self._measuring(name)) is not None]
        return mean(akin) if akin else None

    def _measuring_seconds(self, recipe: str) -> float | None:
        """The mean over the runs of ``recipe`` that say what measuring them took; None where none does."""
        found = (
            _number(self.study, recipe, seed, _provenance(self.study, recipe, seed), "evaluation_seconds")
            for seed in self.study.seeds(recipe)
        )
        took = [seconds for seconds in found if seconds is not None]
        return mean(took) if took else None

    def _disk_gb(self, recipe: str) -> float:
        """Gigabytes that a run leaves: the mean of those that have ended, or else the scale's guess."""
        left = []
        for seed in self.study.seeds(recipe):
            folder = self.study.work_dir(recipe, seed)
            if (folder / "model.pt").exists():
                left.append(_bytes_in(folder) / GB)
        guesses = self.study.task_scale(recipe).disk_gb
        return mean(left) if left else guesses.get(self.study.recipe(recipe).backbone, 0.0)


@without_collector()
def run_plans(study: Study, names: Sequence[str], seeds: Sequence[int] | None = None) -> dict[str, list[RunPlan]]:
    """The runs of tables and figures and all that they start from, by name; of more than one also ``all``, each once.

    Args:
        study: what there is to plan.
        names: tables and figures.
        seeds: of each recipe; None for the scale's.
    """

    def runs(name: str) -> tuple[Run, ...]:
        wanted = dict.fromkeys(run.recipe for run in study.runs(name))
        return study.with_needed(tuple(Run(recipe, seed) for recipe in wanted for seed in seeds or study.seeds(recipe)))

    costs = Costs(study)
    plan = cache(lambda run: costs.of(run, study.state(run.recipe, run.seed)))
    made = {name: [plan(run) for run in runs(name)] for name in names}
    if len(names) > 1:
        made["all"] = list({one.run: one for each in made.values() for one in each}.values())
    return made


def plans(study: Study, names: Sequence[str], cores: int, seeds: Sequence[int] | None = None) -> list[Plan]:
    """The plans of :func:`run_plans`, added up."""
    return [_added(study, name, each, cores) for name, each in run_plans(study, names, seeds).items()]


def plan_of(study: Study, waiting: Sequence[Run], cores: int | None) -> Plan:
    """The plan of training the runs ``waiting`` and measuring them."""
    costs = Costs(study)
    return _added(study, "", [costs.of(run, "missing") for run in waiting], cores)


def in_words(plan: Plan) -> str:
    """One line: how many runs, for how long, and how much of it is a guess."""
    if not plan.to_train:
        return "no run to train"
    took = f"about {in_time(plan.seconds)} of device time"
    if plan.elapsed is not None:
        took += f", {in_time(plan.elapsed)} on {plan.cores} core{'s' if plan.cores != 1 else ''}"
    runs = f"{plan.to_train} run{'s' if plan.to_train > 1 else ''}"
    return f"{runs} to train, {took} ({plan.to_train - plan.measured} of them guessed), measuring included"


def in_time(seconds: float) -> str:
    """A length of time as one reads it: minutes, from 90 on hours."""
    minutes = max(1, round(seconds / 60))
    return f"{seconds / 3600:.1f} hours" if minutes >= 90 else f"{minutes} minute{'s' if minutes > 1 else ''}"


def runtime_minutes(study: Study, recipe: str) -> int:
    """Minutes to ask a cluster for one training of ``recipe``: its estimate with a margin, in whole tens.

    Read once for a study: what a workflow asks for must not change while it runs. The scale's own ``runtime`` where
    there is no estimate.
    """
    seconds = training_seconds(study, recipe)
    asked = study.task_scale(recipe).resources
    if not seconds:
        return asked["runtime"]
    minutes = MARGIN * seconds / max(1, asked.get("gpu", 0)) / 60
    return max(LEAST_MINUTES, math.ceil(minutes / STEP_MINUTES) * STEP_MINUTES)


def training_seconds(study: Study, recipe: str) -> float:
    """Estimated device seconds of one training of ``recipe``, 0 where nothing is known; read once for a study."""
    return _costs(study).training(recipe).seconds


@lru_cache(maxsize=1)
def _costs(study: Study) -> Costs:
    return Costs(study)


def _added(study: Study, name: str, each: Sequence[RunPlan], cores: int | None) -> Plan:
    to_train = [one for one in each if one.to_train]
    return Plan(
        name=name,
        runs=len(each),
        to_train=len(to_train),
        gpus=max((one.gpus for one in each), default=0),
        seconds=sum(one.seconds for one in each),
        measured=sum(one.training.source != "guessed" for one in to_train),
        memory_gb=max((one.memory_gb for one in each), default=0.0),
        disk_gb=sum(one.disk_gb for one in each),
        cores=cores,
        elapsed=_elapsed(study, each, cores),
    )


def _elapsed(study: Study, each: Sequence[RunPlan], cores: int | None) -> float | None:
    """Seconds until all are measured: as many side by side as there are cores for, and no sooner than the longest."""
    waiting = [one for one in each if one.seconds]
    if cores is None or any(one.gpus for one in waiting):
        return None
    shared = sum(one.seconds * min(cores, study.task_scale(one.run.recipe).threads) for one in waiting) / cores
    return max(shared, *(one.seconds for one in waiting)) if waiting else 0.0


def _measured(study: Study, recipe: str, seed: int) -> float | None:
    """Device seconds of all attempts at a run of today's recipe; None where none has ended."""
    beside = study.work_dir(recipe, seed) / "cost.json", _provenance(study, recipe, seed)
    # The second alone where only results were kept.
    found = (_number(study, recipe, seed, path, "device_seconds") for path in beside)
    return next((took for took in found if took is not None), None)


def _provenance(study: Study, recipe: str, seed: int) -> Path:
    return study.metrics_path(recipe, seed).with_name("provenance.json")


def _bytes_in(folder: Path) -> int:
    """The size of all files in ``folder``; pathlib takes several times as long."""
    walked = ((inner, name) for inner, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(os.path.join(inner, name)).st_size for inner, name in walked)


def _number(study: Study, recipe: str, seed: int, path: Path, name: str) -> float | None:
    """The number ``name`` of a JSON file of today's recipe; None where the file or the number is not there."""
    try:
        return float(sealed.read(path, study.identity(recipe, seed, path.stem), "train it")[name])
    except (UserError, ValueError, KeyError, TypeError):
        return None
