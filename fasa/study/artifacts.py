"""Tables and figures as data: rows, columns, published values, and the run and measurement that each comes from."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from fasa.errors import UserError
from fasa.strict import Strict, parse, read_yaml

UNPUBLISHED = "not in the paper"  # so begins ``published_as`` of tables and figures that are ours


class Column(Strict):
    """A column: ``key`` is the value's place under ``measurements``, ``published`` its name in a row's figures.

    Measurements are fractions where the ``unit`` is "%", and in the unit else. ``decimals`` are those of the published
    means (their spreads have two); columns of one ``group`` are printed together, under its name.
    """

    key: str
    label: str
    unit: str = "%"
    published: str | None = None
    decimals: int = Field(1, ge=0)
    group: str = ""


class Row(Strict):
    """A row: a recipe, what is measured on it (``measure`` replaces the column's key), and what the paper printed.

    In a ``measure`` that ends in ``.*`` the star stands for the key of each column (``norcal.tuned.*``).
    ``published`` holds ``[mean, std or null]`` in the column's unit; ``baseline`` is the row that its gain is over;
    a ``control`` row stands below the line and is not the paper's. ``deviation`` is the number of the row of
    docs/deviations.md whose effect this row's difference from its baseline measures.
    """

    id: str
    label: str
    group: str = ""
    recipe: str
    measure: str | None = None
    baseline: str | None = None
    published: dict[str, tuple[float, float | None]] = {}
    control: bool = False
    deviation: int | None = Field(None, ge=1)

    @field_validator("published", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        """A single number is a mean without a spread."""
        if not isinstance(value, dict):
            return value
        return {key: (v, None) if isinstance(v, int | float) else v for key, v in value.items()}

    def printed(self, column: Column) -> tuple[float | None, float | None]:
        """What the paper prints in ``column``, mean and standard deviation; None for what it does not print."""
        return self.published.get(column.published, (None, None)) if column.published is not None else (None, None)


class Table(Strict):
    """A table of the paper and our controls below its line.

    ``tolerance`` is how far from the published value a level may lie (in the columns' unit; without it levels are not
    judged), ``note`` what a reader must know to compare. One that is made ``on_request`` is made by its own name alone,
    not with all the others.
    """

    name: str
    title: str
    published_as: str
    dataset: str
    caption: str
    note: str = ""
    on_request: bool = False
    columns: tuple[Column, ...] = Field(min_length=1)
    tolerance: float | None = Field(None, gt=0)
    rows: tuple[Row, ...] = Field(min_length=1)

    def recipes(self) -> tuple[str, ...]:
        """The recipes of its rows, each once."""
        return tuple(dict.fromkeys(row.recipe for row in self.rows))

    def recipes_of_the_paper(self) -> tuple[str, ...]:
        """The recipes of the rows above the line, each once."""
        return tuple(dict.fromkeys(row.recipe for row in self.rows if not row.control))


class Series(Strict):
    """One curve or panel of a figure: a recipe under a label."""

    label: str
    recipe: str
    group: str = ""


class Figure(Strict):
    """A figure of the paper: ``kind`` is the function of :mod:`fasa.reporting.figures` that draws it."""

    name: str
    title: str
    published_as: str
    kind: Literal[
        "class_counts",
        "class_probabilities",
        "weight_norms",
        "sampling_by_group",
        "sampling_by_class",
        "learning_curves",
        "gains",
        "tide_errors",
        "instance_bins",
        "class_groups",
        "qualitative",
    ]
    caption: str
    series: tuple[Series, ...] = Field(min_length=1)

    def recipes(self) -> tuple[str, ...]:
        """The recipes of its series, each once."""
        return tuple(dict.fromkeys(series.recipe for series in self.series))


def is_ours(user: Table | Figure) -> bool:
    """Whether a table or figure is not the paper's."""
    return user.published_as.lower().startswith(UNPUBLISHED)


def load_tables(folder: Path, recipes: Collection[str]) -> dict[str, Table]:
    """All tables of ``folder``, checked against the known ``recipes``, in the order of the paper.

    Raises:
        UserError: an unknown key, recipe, baseline row or published figure, or a row id used twice.
    """
    tables = {}
    for path in sorted(folder.glob("*.yaml")):
        table = parse(Table, {**read_yaml(path), "name": path.stem}, str(path))
        ids = [row.id for row in table.rows]
        for row in table.rows:
            if row.recipe not in recipes:
                raise UserError(f"{path}: row '{row.id}' names an unknown recipe '{row.recipe}'.")
            if row.baseline is not None and row.baseline not in ids:
                raise UserError(f"{path}: row '{row.id}' names an unknown baseline row '{row.baseline}'.")
            if row.deviation is not None and row.baseline is None:
                raise UserError(f"{path}: row '{row.id}' measures deviation {row.deviation}: name its 'baseline', too.")
            if ids.count(row.id) > 1:
                raise UserError(f"{path}: row id '{row.id}' is used twice.")
            for name in row.published:
                if name not in [column.published for column in table.columns]:
                    raise UserError(f"{path}: row '{row.id}' has a published '{name}', which no column shows.")
        tables[table.name] = table
    return dict(sorted(tables.items(), key=lambda item: _place(item[1])))


def _place(table: Table) -> tuple[bool, bool, int]:
    """Where the paper prints a table: those of the supplement alone come after the others, and last what is ours."""
    number = re.search(r"\d+", table.published_as)
    return is_ours(table), table.published_as.startswith("Supplement"), int(number.group()) if number else 0


def load_figures(path: Path, recipes: Collection[str]) -> dict[str, Figure]:
    """All figures of the file ``path``, checked against the known ``recipes``.

    Raises:
        UserError: an unknown key or recipe.
    """
    figures = {}
    for name, content in read_yaml(path).items():
        figures[name] = parse(Figure, {**content, "name": name}, f"{path}: figure '{name}'")
        for series in figures[name].series:
            if series.recipe not in recipes:
                raise UserError(f"{path}: figure '{name}' names an unknown recipe '{series.recipe}'.")
    return figures
