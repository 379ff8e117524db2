"""What a study costs before it starts: runs and device hours, measured where there are any, else guessed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import mean

from fasa.experiments.detection_recipes import DetectionRecipe
from fasa.experiments.study import Run, Study


@dataclass(frozen=True)
class Plan:
    """Runs of a table, a figure, or any list, those still to train, and what that takes.

    ``seconds`` are of devices (CPU processes, or all GPUs of a run), ``measured`` of the runs to train have other seeds
    that were timed, and ``elapsed`` are seconds on ``cores``, None where that is not known or runs want GPUs.
    """

    name: str
    runs: int
    to_train: int
    seconds: float
    measured: int
    cores: int | None
    elapsed: float | None


def seconds(study: Study, recipe: str) -> tuple[float, bool]:
    """Device seconds of one run of ``recipe``, and whether that was measured on its seeds."""
    found = [_measured(study, recipe, seed) for seed in study.seeds(recipe)]
    if measured := [one for one in found if one is not None]:
        return mean(measured), True
    resolved = study.recipe(recipe)
    if isinstance(resolved, DetectionRecipe):
        return study.scale.detection.seconds.get(resolved.backbone, 0.0) * resolved.schedule.epochs, False
    return study.scale.seconds.get(resolved.backbone, 0.0), False


def plans(study: Study, users: Sequence[str | None], cores: int) -> list[Plan]:
    """The plans of tables and figures (None: of all together); what several runs start from counts once in each."""
    state, cost = cache(lambda run: study.state(run.recipe, run.seed)), cache(lambda recipe: seconds(study, recipe))
    made = []
    for user in users:
        runs = study.with_needed(study.runs(user))
        waiting = [run for run in runs if state(run) not in ("done", "trained")]
        made.append(_plan(study, user or "all", len(runs), waiting, [cost(run.recipe) for run in waiting], cores))
    return made


def plan_of(study: Study, waiting: Sequence[Run], cores: int | None) -> Plan:
    """The plan of training the runs ``waiting``."""
    return _plan(study, "", len(waiting), waiting, [seconds(study, run.recipe) for run in waiting], cores)


def in_words(plan: Plan) -> str:
    """One line: how many runs, for how long, and how much of it is a guess."""
    if not plan.to_train:
        return "no run to train"
    took = f"about {_duration(plan.seconds)} of device time"
    if plan.elapsed is not None:
        took += f", {_duration(plan.elapsed)} on {plan.cores} core{'s' if plan.cores != 1 else ''}"
    runs = f"{plan.to_train} run{'s' if plan.to_train > 1 else ''}"
    return f"{runs} to train, {took} ({plan.to_train - plan.measured} of them guessed); measuring them comes on top"


def _plan(
    study: Study, name: str, runs: int, waiting: Sequence[Run], costs: Sequence[tuple[float, bool]], cores: int | None
) -> Plan:
    each = [cost for cost, _ in costs]
    known = sum(measured for _, measured in costs)
    return Plan(name, runs, len(waiting), sum(each), known, cores, _elapsed(study, waiting, each, cores))


def _elapsed(study: Study, runs: Sequence[Run], costs: Sequence[float], cores: int | None) -> float | None:
    """Seconds until all are trained: as many side by side as there are cores for, and no sooner than the longest."""
    if cores is None or any(study.resources(run.recipe).get("gpu") for run in runs):
        return None
    threads = [min(cores, study.threads(run.recipe)) for run in runs]
    shared = sum(cost * count for cost, count in zip(costs, threads, strict=True)) / cores
    return max(shared, *costs) if costs else 0.0


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{seconds / 3600:.1f} hours" if minutes >= 90 else f"{minutes} minute{'s' if minutes > 1 else ''}"


def _measured(study: Study, recipe: str, seed: int) -> float | None:
    """Device seconds of all attempts at a run of today's recipe; None where none has ended."""
    beside = study.work_dir(recipe, seed) / "cost.json", study.metrics_path(recipe, seed).with_name("provenance.json")
    for path in beside:  # the second alone where only results were kept
        try:
            content = json.loads(path.read_text())
            if content["fingerprint"] == study.fingerprint(recipe):
                return float(content["device_seconds"])
        except (OSError, ValueError, KeyError):
            continue
    return None
