"""A plan as a table on a terminal: by tables and figures, by recipe, or run by run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from rich.table import Table

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Row
    from fasa.study.cost import Plan, RunPlan

SOURCES = {
    "measured": "measured",
    "running": "from its running seed",
    "akin": "from similar runs",
    "guessed": "guessed",
}
Each = TypeVar("Each")
LEFT = ("recipe", "row", "state", "training is", "table or figure")


def by_table(study: Study, plans: Sequence[Plan]) -> Table:
    """A line for each of ``plans``; the last, ``all``, stands apart. Columns of nothing but zeros are left out."""
    on_gpus = any(plan.gpus for plan in plans)
    columns: dict[str, Callable[[Plan], str]] = {
        "table or figure": lambda plan: plan.name,
        "runs": lambda plan: str(plan.runs),
        "to train": lambda plan: str(plan.to_train),
        "not guessed": lambda plan: str(plan.measured),
        "GPUs a run": lambda plan: str(plan.gpus),
        "GPU time" if on_gpus else "CPU time": lambda plan: _time(plan.seconds),
        "memory GB": lambda plan: f"{plan.memory_gb:.1f}",
        "disk GB": lambda plan: _gigabytes(plan.disk_gb),
    }
    if any(plan.elapsed is not None for plan in plans):  # nothing of a cluster's scale runs here
        columns[f"on {plans[0].cores} cores"] = lambda plan: "on GPUs" if plan.elapsed is None else _time(plan.elapsed)
    users = study.artifacts()
    recipes = [recipe for plan in plans for recipe in users.get(plan.name, ())]
    grid = _grid(study, recipes, columns, plans)
    if plans[-1].name == "all":
        grid.rows[-2].end_section = True
    return grid


def by_recipe(study: Study, names: Sequence[str]) -> Table:
    """A line for each recipe of the tables and figures ``names``: its seeds, and where the paper has it."""
    rows = {row.recipe: f"{row.group}: {row.label}" if row.group else row.label for row in _rows(study)}
    readers = study.artifacts()
    columns: dict[str, Callable[[str], str]] = {
        "recipe": lambda recipe: recipe,
        "row": lambda recipe: rows.get(recipe, ""),
        "seeds": lambda recipe: str(len(study.seeds(recipe))),
        "table or figure": lambda recipe: ", ".join(name for name in readers if recipe in readers[name]),
    }
    recipes = list(dict.fromkeys(run.recipe for name in names for run in study.runs(name)))
    return _grid(study, recipes, columns, recipes)


def _rows(study: Study) -> Iterator[Row]:
    """Every row of every table, those of the paper's first tables last."""
    return (row for table in reversed(study.tables.values()) for row in table.rows)


def by_run(study: Study, plans: Sequence[RunPlan]) -> Table:
    """A line for each run: what it takes from scratch, whatever has been done."""
    columns: dict[str, Callable[[RunPlan], str]] = {
        "recipe": lambda plan: plan.run.recipe,
        "seed": lambda plan: str(plan.run.seed),
        "state": lambda plan: plan.state,
        "GPUs": lambda plan: str(plan.gpus),
        "training": lambda plan: _time(plan.training.seconds),
        "measuring": lambda plan: _time(plan.evaluation),
        "memory GB": lambda plan: f"{plan.memory_gb:.1f}",
        "disk GB": lambda plan: _gigabytes(plan.disk_gb),
        "training is": lambda plan: SOURCES[plan.training.source],
    }
    return _grid(study, [plan.run.recipe for plan in plans], columns, plans)


def _grid(
    study: Study, recipes: Sequence[str], columns: dict[str, Callable[[Each], str]], plans: Sequence[Each]
) -> Table:
    grid = Table(title=f"scale {study.scale.name}: {study.descriptions(recipes)}")
    cells = {heading: [tell(plan) for plan in plans] for heading, tell in columns.items()}
    told = {heading: column for heading, column in cells.items() if heading == "seed" or {*column} - {"0", "0.00"}}
    for heading in told:
        grid.add_column(heading, justify="left" if heading in LEFT else "right")
    for row in zip(*told.values(), strict=True):
        grid.add_row(*row)
    return grid


def _time(seconds: float) -> str:
    """Seconds, from a minute on minutes, from an hour on hours."""
    if seconds < 3600:
        return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s" if seconds else "0"
    return f"{seconds / 3600:,.0f} h" if seconds >= 360000 else f"{seconds / 3600:.1f} h"


def _gigabytes(gigabytes: float) -> str:
    return f"{gigabytes:,.0f}" if gigabytes >= 100 else f"{gigabytes:.2f}"
