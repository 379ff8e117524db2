"""What a study costs before it starts: runs and device hours, measured where there are any, else guessed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

from fasa.experiments.study import Study


@dataclass(frozen=True)
class Plan:
    """Runs of one table or figure (or all), those still to train, and their device seconds."""

    name: str
    runs: int
    to_train: int
    seconds: float
    measured: int


def seconds(study: Study, recipe: str) -> tuple[float, bool]:
    """Device seconds of one run of ``recipe``, and whether that was measured on its other seeds."""
    found = [study.load_metrics(recipe, seed) for seed in study.scale.seeds]
    if measured := [metrics["device_seconds"] for metrics in found if metrics is not None]:
        return mean(measured), True
    return study.scale.seconds.get(study.recipe(recipe).backbone, 0.0), False


def plan(study: Study, user: str | None = None) -> Plan:
    """The plan of a table or figure, or of everything."""
    runs = study.with_needed(study.runs(user))
    waiting = [run for run in runs if study.load_metrics(run.recipe, run.seed) is None]
    costs = [seconds(study, run.recipe) for run in waiting]
    return Plan(user or "all", len(runs), len(waiting), sum(c for c, _ in costs), sum(m for _, m in costs))
