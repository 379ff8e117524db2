"""A plan as a table on a terminal: by tables and figures, or run by run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.cost import Plan, RunPlan

SOURCES = {
    "measured": "measured",
    "running": "from its running seed",
    "akin": "from similar runs",
    "guessed": "guessed",
}


def by_table(study: Study, plans: Sequence[Plan]) -> Table:
    """A line for each of ``plans``; the last, ``all``, stands apart."""
    hours = "GPU hours" if any(plan.gpus for plan in plans) else "CPU hours"
    grid = Table("table or figure", title=f"scale {study.scale.name}: {study.scale.description}")
    headings = ["runs", "to train", "not guessed", "GPUs", hours, "memory GB", "disk GB"]
    here = any(plan.elapsed is not None for plan in plans)  # nothing of a cluster's scale runs here
    for heading in headings + ([f"hours on {plans[0].cores} cores"] if here else []):
        grid.add_column(heading, justify="right")
    for plan in plans:
        if plan.name == "all":
            grid.add_section()
        cells = [str(plan.runs), str(plan.to_train), str(plan.measured), str(plan.gpus), _hours(plan.seconds)]
        cells += [f"{plan.memory_gb:.1f}", _gigabytes(plan.disk_gb)]
        if here:
            cells.append("on GPUs" if plan.elapsed is None else _hours(plan.elapsed))
        grid.add_row(plan.name, *cells)
    return grid


def by_run(study: Study, plans: Sequence[RunPlan]) -> Table:
    """A line for each run: what it takes from scratch, whatever has been done."""
    grid = Table("recipe", title=f"scale {study.scale.name}: {study.scale.description}")
    for heading in ("seed", "state", "GPUs", "hours", "measuring", "memory GB", "disk GB", "training is"):
        grid.add_column(heading, justify="left" if heading in ("state", "training is") else "right")
    for plan in plans:
        grid.add_row(
            plan.run.recipe,
            str(plan.run.seed),
            plan.state,
            str(plan.gpus),
            _hours(plan.training.seconds),
            _hours(plan.evaluation),
            f"{plan.memory_gb:.1f}",
            _gigabytes(plan.disk_gb),
            SOURCES[plan.training.source],
        )
    return grid


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.0f}" if seconds >= 360000 else f"{seconds / 3600:.2f}"


def _gigabytes(gigabytes: float) -> str:
    return f"{gigabytes:,.0f}" if gigabytes >= 100 else f"{gigabytes:.2f}"
