"""What a study costs before it starts: runs and device hours, measured where there are any, else guessed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import mean

from fasa.experiments.study import Run, Study


@dataclass(frozen=True)
class Plan:
    """Runs of one table or figure (or all), those still to train, and their device seconds."""

    name: str
    runs: int
    to_train: int
    seconds: float
    measured: int


def done(study: Study, run: Run) -> bool:
    """Whether a run's measurements by today's recipe exist."""
    return study.load_metrics(run.recipe, run.seed) is not None


def seconds(study: Study, recipe: str) -> tuple[float, bool]:
    """Device seconds of one run of ``recipe``, and whether that was measured on earlier seeds."""
    measured = []
    for path in sorted(study.metrics_path(recipe, 0).parents[1].glob("seed-*/metrics.json")):
        metrics = json.loads(path.read_text())
        if metrics.get("fingerprint") == study.fingerprint(recipe):
            measured.append(metrics["device_seconds"])
    if measured:
        return mean(measured), True
    return study.scale.seconds.get(study.recipe(recipe).backbone, 0.0), False


def plan(study: Study, user: str | None = None) -> Plan:
    """The plan of a table or figure, or of everything."""
    runs = study.with_needed(study.runs(user))
    waiting = [run for run in runs if not done(study, run)]
    costs = [seconds(study, run.recipe) for run in waiting]
    return Plan(user or "all", len(runs), len(waiting), sum(c for c, _ in costs), sum(m for _, m in costs))
