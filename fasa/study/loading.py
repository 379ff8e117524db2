"""Read ``configs/`` into a study: what a scale can run of its recipes, tables and figures."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fasa.config_folders import config_folders, config_path, config_paths
from fasa.errors import UserError, closest
from fasa.study.artifacts import FIGURE_NUMBERS, Figure, Row, Table, load_figures, load_tables
from fasa.study.claims import load_claims
from fasa.study.recipes import load_recipes
from fasa.study.scales import Scale, load_scale
from fasa.study.settings import load_settings
from fasa.study.study import Study
from fasa.tasks.recipe import DEFAULT, Recipe

DEFAULT_SCALE = "mini"


@contextmanager
def without_collector() -> Iterator[None]:
    """No search for garbage inside: where nearly all that is made is kept, it takes a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@without_collector()
def load_study(root: Path = Path("."), scale: str = DEFAULT_SCALE, seeds: int | None = None) -> Study:
    """Read the configs of the study in ``root``, its own and those that fasa ships, for a scale.

    Args:
        root: the study's folder.
        scale: one of its scales.
        seeds: N for the seeds 0 to N - 1 of every recipe, in place of the scale's.

    Raises:
        UserError: anything unknown, missing or out of range, by file and field.
    """
    if not root.is_dir():
        raise UserError(f"there is no folder {root} for a study; make it, or name another.")
    recipes = load_recipes(config_paths(root, "recipes/*.yaml"))
    tables = load_tables(config_paths(root, "tables/*.yaml"), recipes)
    figures = load_figures(config_paths(root, "figures.yaml"), recipes, tables)
    whole = config_folders(root)[0]
    load_claims(whole / "claims.yaml", tables, figures)
    load_settings(whole / "config.yaml", {**tables, **figures})
    size = load_scale(root, scale)
    known = (DEFAULT, *tables, *figures, *recipes)
    for task, part in size.parts.items():
        for name in part.seeds:
            if name not in known:
                told = f"'{task}.seeds' names '{name}', which is no table, figure or recipe{closest(name, known)}"
                raise UserError(f"{config_path(root, f'scales/{scale}.yaml')}: {told}.")

    printed = {name: cut for name, table in tables.items() if (cut := _at_scale(table, size, recipes))}
    drawn = {name: figure for name, figure in figures.items() if _is_drawn(figure, size, recipes)}
    unavailable = {name: "table" for name in tables if name not in printed}
    unavailable |= {name: "figure" for name in figures if name not in drawn}
    study = Study(root, size, recipes, printed, drawn, unavailable, seeds)
    for name in study.resolved:
        study.fingerprint(name)  # reads all that decides a run, config files included: what is wrong there is told now
    return study


def _is_drawn(figure: Figure, scale: Scale, recipes: dict[str, Recipe]) -> bool:
    """Whether ``scale`` can run and draw all of ``figure``."""

    def is_drawn(recipe: Recipe) -> bool:
        task = scale.task(recipe)
        return task is not None and not scale.unsupported_reason(recipe) and figure.kind not in task.undrawn

    return all(is_drawn(recipes[name]) for name in figure.recipes())


def _at_scale(table: Table, scale: Scale, recipes: dict[str, Recipe]) -> Table | None:
    """``table`` less what ``scale`` cannot run or measure, which its note names; None if no comparison is left."""

    def lacking(row: Row) -> str | None:
        recipe = recipes[row.recipe]
        if reason := scale.unsupported_reason(recipe):
            return reason
        task = scale.task(recipe)
        assert task is not None
        unmeasured = [name for name in row.measures(table.columns) if name not in (*task.measurements, *FIGURE_NUMBERS)]
        return f"no {unmeasured[0].split('.')[0]}" if unmeasured else None

    withheld = {row.id: reason for row in table.rows if (reason := lacking(row))}
    if not withheld:
        return table
    kept = tuple(row for row in table.rows if row.id not in withheld and row.baseline not in withheld)
    if not any(row.baseline for row in kept):
        return None
    left_out: dict[str, list[str]] = {}
    for row in table.rows:
        if row not in kept:
            left_out.setdefault(withheld.get(row.id) or withheld[str(row.baseline)], []).append(row.label)
    told = "; ".join(f"{', '.join(labels)} ({reason})" for reason, labels in left_out.items())
    return table.model_copy(update={"rows": kept, "note": f"{table.note} Not at this scale: {told}.".strip()})
