"""What is done, missing, stale and failed, by table."""

from __future__ import annotations

from collections import Counter

from fasa.experiments.study import Run, Study

STATES = ("done", "training", "trained", "missing", "stale", "failed")


def state(study: Study, run: Run) -> str:
    """One of :data:`STATES` for a run."""
    if study.load_metrics(run.recipe, run.seed) is not None:
        return "done"
    folder = study.work_dir(run.recipe, run.seed)
    if (folder / "failed.json").exists():
        return "failed"
    if study.metrics_path(run.recipe, run.seed).exists():
        return "stale"
    if (folder / "model.pt").exists():
        return "trained"
    return "training" if any(study.checkpoint_dir(run.recipe, run.seed).glob("epoch-*.pt")) else "missing"


def summary(study: Study) -> dict[str, Counter[str]]:
    """How many runs of each table and figure are in which state; all of them under ``all``."""
    states = {run: state(study, run) for run in study.with_needed(study.runs())}
    counted = {name: Counter(states[run] for run in study.with_needed(study.runs(name))) for name in study.users()}
    return {**counted, "all": Counter(states.values())}
