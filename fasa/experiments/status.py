"""What is done, missing, stale and failed, by table."""

from __future__ import annotations

from collections import Counter

from fasa.experiments.study import Study


def summary(study: Study) -> dict[str, Counter[str]]:
    """How many runs of each table and figure are in which state; all of them under ``all``."""
    states = {run: study.state(run.recipe, run.seed) for run in study.with_needed(study.runs())}
    counted = {name: Counter(states[run] for run in study.with_needed(study.runs(name))) for name in study.users()}
    return {**counted, "all": Counter(states.values())}
