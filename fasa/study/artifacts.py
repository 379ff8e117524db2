"""Tables and figures as data: rows, columns, published values, and the run and measurement that each comes from."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from fasa.errors import UserError, closest
from fasa.strict import NAME, Named, Strict, Text, check_name, entries, parse_entry, read_yaml
from fasa.tasks.recipe import Recipe
from fasa.tasks.task import measurements_of

UNPUBLISHED = "not in the paper"  # so begins ``published_as`` of tables and figures that are ours
OF_EACH_COLUMN = ".*"
RESERVED = ("default", "findings", "paper", "report")  # words that mean something else where an artifact is named
# What fasa.reporting reads off the curves and bars of a run's figures.
_GROUPS = ("frequent", "common", "rare")
FIGURE_NUMBERS = (
    *(f"figures.imbalance.{name}" for name in ("real", "both")),
    *(f"figures.{name}.{group}" for name in ("true_class", "top1") for group in _GROUPS),
    *(f"figures.weight_norms.{name}" for name in ("variation", "rare_to_frequent")),
    *(
        f"figures.sampling.{group}.{name}"
        for group in _GROUPS
        for name in ("mean", "range", "per_mille", "relative_range", "first_third", "second_third", "last_third")
    ),
    *(f"figures.groups.{name}" for name in ("count", "largest")),
)


class Column(Strict):
    """A column. Columns of one ``group`` are printed together, under its name."""

    key: str = Field(description="The measurement, unless a row has one of its own.")
    label: Text = Field(description="What is printed above it.")
    unit: str = Field("%", description="Measurements are fractions where it is '%', and in the unit else.")
    published: str | None = Field(None, description="Its name among a row's published figures.")
    decimals: int = Field(1, ge=0, le=6, description="Of the means; their spreads have two.")
    group: str = Field("", description="Columns of one group are printed together, under its name.")


class Row(Strict):
    """A row: a recipe, what is measured on it, and what the paper printed."""

    id: str = Field(pattern=f"^{NAME.pattern}$", description="Its name in this table, for baselines and claims.")
    label: Text = Field(description="What is printed before it.")
    group: str = Field("", description="Rows of one group are printed together, under its name.")
    recipe: str = Field(description="A recipe of configs/recipes.")
    measure: str | None = Field(
        None,
        description="The measurement, in place of the columns' keys; in one that ends in '.*' the star stands for the "
        "key of each column (norcal.tuned.*).",
    )
    baseline: str | None = Field(None, description="The row that its gain is over.")
    published: dict[str, tuple[float, Annotated[float, Field(ge=0)] | None]] = Field(
        {}, description="What the paper prints, in the column's unit: [mean, standard deviation or null], or a mean."
    )
    control: bool = Field(False, description="It stands below the line and is not the paper's.")
    headroom: bool = Field(
        True,
        description="Of a control, whether what it gains shows that there is something to gain; not of FASA itself.",
    )
    deviation: int | None = Field(
        None,
        ge=1,
        description="The row of docs/deviations.md whose effect its difference from its baseline measures, by number.",
    )

    @field_validator("published", mode="before", json_schema_input_type=dict[str, float | tuple[float, float | None]])
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        """A single number is a mean without a spread."""
        if not isinstance(value, dict):
            return value
        pairs = {key: (v, None) if isinstance(v, int | float) else v for key, v in value.items()}
        return {key: tuple(pair) if isinstance(pair, list) else pair for key, pair in pairs.items()}

    def printed(self, column: Column) -> tuple[float | None, float | None]:
        """What the paper prints in ``column``, mean and standard deviation; None for what it does not print."""
        return self.published.get(column.published, (None, None)) if column.published is not None else (None, None)

    def measures(self, columns: tuple[Column, ...]) -> tuple[str, ...]:
        """The names of all that is measured for it under ``columns``."""
        if self.measure is None:
            return tuple(column.key for column in columns)
        if not self.measure.endswith(OF_EACH_COLUMN):
            return (self.measure,)
        return tuple(f"{self.measure.removesuffix('*')}{column.key}" for column in columns)


class Table(Named):
    """A table of the paper and our controls below its line."""

    title: Text = Field(description="Its heading.")
    published_as: Text = Field(
        UNPUBLISHED, description=f"Where the paper prints it, such as Table 3; a table of one's own is '{UNPUBLISHED}'."
    )
    dataset: str = Field("", description="The data set of the published figures, where there are any.")
    caption: str = Field("", description="What is measured on what.")
    note: str = Field("", description="What a reader must know to compare.")
    on_request: bool = Field(False, description="It is made by its own name alone, not with all the others.")
    columns: tuple[Column, ...] = Field(min_length=1)
    tolerance: float | None = Field(
        None,
        gt=0,
        description="How far from the published value a level may lie, in the columns' unit; without it levels are not "
        "judged.",
    )
    rows: tuple[Row, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _says_of_what_figures_are(self) -> Self:
        if not self.dataset and any(row.published for row in self.rows):
            raise ValueError("'dataset' must say what the published figures are of")
        return self

    def recipes(self) -> tuple[str, ...]:
        """The recipes of its rows, each once."""
        return tuple(dict.fromkeys(row.recipe for row in self.rows))

    def controls_over(self, baseline: str | None) -> tuple[Row, ...]:
        """The rows below the line that tell of headroom over the row of that id."""
        controls = (row for row in self.rows if row.control and row.headroom and row.baseline is not None)
        return tuple(row for row in controls if row.baseline == baseline)

    def recipes_of_the_paper(self) -> tuple[str, ...]:
        """The recipes of the rows above the line, each once."""
        return tuple(dict.fromkeys(row.recipe for row in self.rows if not row.control))


class Series(Strict):
    """One curve or panel of a figure: a recipe under a label."""

    label: Text = Field(description="What the legend calls it.")
    recipe: str = Field(description="A recipe of configs/recipes.")
    group: str = Field("", description="Series of one group are compared with each other.")


class Figure(Named):
    """A figure of the paper."""

    title: Text = Field(description="Its heading.")
    published_as: Text = Field(description=f"Where the paper prints it, such as Figure 3, or '{UNPUBLISHED}'.")
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
    ] = Field(description="What is drawn: a function of fasa.reporting.figures.")
    caption: str = Field(description="What it shows.")
    series: tuple[Series, ...] = Field(min_length=1, description="Whose runs it draws.")

    def recipes(self) -> tuple[str, ...]:
        """The recipes of its series, each once."""
        return tuple(dict.fromkeys(series.recipe for series in self.series))


def is_ours(artifact: Table | Figure) -> bool:
    """Whether a table or figure is not the paper's."""
    return artifact.published_as.lower().startswith(UNPUBLISHED)


def load_tables(paths: Sequence[Path], recipes: Mapping[str, Recipe]) -> dict[str, Table]:
    """All tables, each of a file of ``paths``, checked against the known ``recipes``, in the order of the paper.

    Raises:
        UserError: an unknown key, recipe, measurement, baseline row or published figure; a table, row id or column key
            twice.
    """
    tables = {}
    for path in paths:
        check_name(path.stem, str(path))
        _check_free(path.stem, str(path))
        if path.stem in tables:
            raise UserError(f"{path} has the name of a table that fasa ships; rename it.")
        table = parse_entry(Table, path.stem, read_yaml(path), str(path))
        for row in table.rows:
            _verify(row, table, recipes, path)
        keys = [column.key for column in table.columns]
        for key in keys:
            if keys.count(key) > 1:
                raise UserError(f"{path}: column key '{key}' is used twice.")
        tables[table.name] = table
    return dict(sorted(tables.items(), key=lambda item: _place(item[1])))


def _verify(row: Row, table: Table, recipes: Mapping[str, Recipe], path: Path) -> None:
    ids = [row.id for row in table.rows]
    columns = [column.published for column in table.columns if column.published is not None]
    if row.recipe not in recipes:
        raise UserError(f"{path}: row '{row.id}' names an unknown recipe '{row.recipe}'{closest(row.recipe, recipes)}.")
    if row.baseline is not None and row.baseline not in ids:
        told = f"names an unknown baseline row '{row.baseline}'{closest(row.baseline, ids)}"
        raise UserError(f"{path}: row '{row.id}' {told}.")
    if row.deviation is not None and row.baseline is None:
        raise UserError(f"{path}: row '{row.id}' measures deviation {row.deviation}: name its 'baseline', too.")
    if ids.count(row.id) > 1:
        raise UserError(f"{path}: row id '{row.id}' is used twice.")
    for name in row.published:
        if name not in columns:
            told = f"has a published '{name}', which no column shows{closest(name, columns)}"
            raise UserError(f"{path}: row '{row.id}' {told}.")
    recipe = recipes[row.recipe]
    known = (*measurements_of(recipe), *FIGURE_NUMBERS)
    for name in row.measures(table.columns):
        if name not in known:
            told = f"asks for '{name}', which is not measured of a {recipe.kind} such as '{row.recipe}'"
            raise UserError(f"{path}: row '{row.id}' {told}{closest(name, known)}.")


def _place(table: Table) -> tuple[bool, bool, int]:
    """Where the paper prints a table: those of the supplement alone come after the others, and last what is ours."""
    number = re.search(r"\d+", table.published_as)
    return is_ours(table), table.published_as.startswith("Supplement"), int(number.group()) if number else 0


def _check_free(name: str, where: str) -> None:
    if name in RESERVED:
        raise UserError(f"{where} cannot have the name '{name}', which means something else: choose another.")


def load_figures(paths: Sequence[Path], recipes: Mapping[str, Recipe], tables: Collection[str]) -> dict[str, Figure]:
    """All figures of the files ``paths``, checked against the known ``recipes``, none with the name of a table.

    Raises:
        UserError: an unknown key, kind or recipe, or a name that is taken.
    """
    figures: dict[str, Figure] = {}
    for name, content, where in (entry for path in paths for entry in entries(path, "figure")):
        _check_free(name, where)
        if name in figures:
            raise UserError(f"{where} has the name of one that fasa ships; rename it.")
        if name in tables:
            raise UserError(f"{where} has the name of a table; rename one.")
        figures[name] = parse_entry(Figure, name, content, where)
        for series in figures[name].series:
            if series.recipe not in recipes:
                told = f"names an unknown recipe '{series.recipe}'{closest(series.recipe, recipes)}"
                raise UserError(f"{where} {told}.")
    return figures
