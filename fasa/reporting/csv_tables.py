"""Tables as CSV files of raw numbers: written from the cells, and read back for the findings, without the runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from fasa.csv_cells import as_text
from fasa.errors import UserError
from fasa.reporting.cells import Measured, MeasuredTable, TableCell, compare, measure_of
from fasa.study.scales import Scale, load_scale

if TYPE_CHECKING:
    from fasa.study import Study

LARGEST_FIRST = ("paper", "paper_cpu", "proxy", "tail", "mini", "smoke")
NEEDED = ("table", "row", "column", "recipe", "measure", "unit", "seeds", "values", "missing", "scale", "dataset")
NOT_RUN = "not run"


def table_frame(measured: MeasuredTable) -> pd.DataFrame:
    """One line per row × column: published and own numbers in the column's unit at full precision, seeds, verdict."""
    return pd.DataFrame([_record(measured, cell) for cell in measured.cells.values()])


def render(measured: MeasuredTable) -> str:
    """:func:`table_frame` as CSV."""
    return table_frame(measured).to_csv(index=False, lineterminator="\n")


@dataclass(frozen=True)
class KeptCell:
    """Our values of one cell by seed, in the column's unit, and why some are missing.

    ``shows`` is the recipe, the measure and the unit that they are of.
    """

    values: dict[int, float]
    missing: str
    shows: tuple[str, str, str] = ("", "", "")


@dataclass(frozen=True)
class Results:
    """The tables of one scale: ``cells`` by (table, row, column), the data sets that they are of, and where they lie.

    ``figures`` is the folder of the same scale's pictures.
    """

    scale: Scale
    tables: Path
    figures: Path
    cells: Mapping[tuple[str, str, str], KeptCell]
    datasets: Mapping[str, tuple[str, ...]]


def read_results(tables: Path, figures: Path, root: Path) -> Results:
    """The tables in the folder ``tables``, which is named SCALE/tables, of a scale of the study in ``root``.

    Raises:
        UserError: a file is not what ``fasa render`` writes, or there is no such scale.
    """
    cells: dict[tuple[str, str, str], KeptCell] = {}
    datasets: dict[str, tuple[str, ...]] = {}
    scale = load_scale(root, tables.parent.name)
    for path in sorted(tables.glob("*.csv")):
        for line in _read(path, scale.name):
            datasets[path.stem] = tuple(line["dataset"].split())
            shows = (line["recipe"], line["measure"], line["unit"])
            cell = KeptCell(_by_seed(path, line), line["missing"], shows)
            if cells.setdefault((path.stem, line["row"], line["column"]), cell) is not cell:
                raise UserError(f"{path} has row {line['row']}, column {line['column']} twice; render it again.")
    return Results(scale, tables, figures, cells, datasets)


def read_kept(reference: Path, pictures: Path, root: Path) -> tuple[Results, ...]:
    """The scales that are kept under ``reference``, the largest first; ``pictures`` has a folder of each, too.

    Raises:
        UserError: as of :func:`read_results`.
    """
    folders = [path for path in reference.glob("*/tables") if any(path.glob("*.csv"))]
    folders.sort(key=lambda path: (_rank(path.parent.name), path.parent.name))
    return tuple(read_results(path, pictures / path.parent.name, root) for path in folders)


def as_results(study: Study, measured: Iterable[MeasuredTable]) -> Results:
    """Tables of ``study`` as they would be read back from their files."""
    tables = list(measured)
    cells = {
        (one.table.name, *place): KeptCell(dict(zip(cell.ours.seeds, cell.ours.values, strict=True)), cell.missing)
        for one in tables
        for place, cell in one.cells.items()
    }
    datasets = {one.table.name: one.datasets for one in tables}
    folder = study.root / "figures" / study.scale.name
    return Results(study.scale, study.results / "tables", folder, cells, datasets)


def measure_kept(study: Study, name: str, results: Results) -> MeasuredTable:
    """Table ``name`` from the kept values of its rows and columns.

    A row that it lacks was added since, and not run; a column that no row has is left out.

    Args:
        study: at the scale of ``results``.

    Raises:
        UserError: kept values are of another recipe, measure or unit than the study's table.
    """
    table, path = study.tables[name], results.tables / f"{name}.csv"
    kept = {(row, column): cell for (of, row, column), cell in results.cells.items() if of == name}
    columns = tuple(column for column in table.columns if any(column.key == key for _, key in kept))
    measured = {}
    for row in table.rows:
        for column in columns:
            cell = kept.get((row.id, column.key), KeptCell({}, NOT_RUN))
            measure = measure_of(row, column, table)
            shows = (row.recipe, measure or "", as_text(column.unit))
            if cell.values and cell.shows != shows:
                raise UserError(
                    f"{path}: row {row.id}, column {column.key} is {' '.join(cell.shows)}, and by configs/tables it is "
                    f"{' '.join(shows)}; render it again."
                )
            measured[row.id, column.key] = Measured(measure, cell.values, cell.missing)
    cut = table.model_copy(update={"columns": columns})
    return compare(cut, results.scale, study.description(table.rows[0].recipe), results.datasets[name], measured)


def _record(measured: MeasuredTable, cell: TableCell) -> dict[str, object]:
    table, row, difference = measured.table, cell.row, cell.difference
    return {
        "table": table.name,
        "row": row.id,
        "group": as_text(row.group),
        "label": as_text(row.label),
        "control": row.control,
        "recipe": row.recipe,
        "column": cell.column.key,
        "measure": cell.measure,
        "unit": as_text(cell.column.unit),
        "published": cell.published,
        "published_std": cell.published_std,
        "n": cell.ours.n,
        "mean": cell.ours.mean,
        "std": cell.ours.std,
        "seeds": _join(cell.ours.seeds),
        "values": _join(cell.ours.values),
        "baseline": row.baseline,
        "published_difference": cell.published_difference,
        "difference": difference.mean if difference else None,
        "difference_low": difference.low if difference else None,
        "difference_high": difference.high if difference else None,
        "pairs": difference.n if difference else 0,
        "paired_seeds": _join(difference.seeds) if difference else "",
        "verdict": cell.verdict,
        "missing": cell.missing,
        "scale": measured.scale.name,
        "comparable": measured.scale.comparable,
        "published_dataset": as_text(table.dataset),
        "dataset": " ".join(measured.datasets),
    }


def _join(values: Iterable[float]) -> str:
    return " ".join(map(repr, values))


def _rank(scale: str) -> int:
    return LARGEST_FIRST.index(scale) if scale in LARGEST_FIRST else len(LARGEST_FIRST)


def _read(path: Path, scale: str) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            names, *rows = [line for line in csv.reader(file, strict=True) if line] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}); render the table again.") from error
    wrong = [f"no column '{name}'" for name in NEEDED if name not in names] or ["no rows"] * (not rows)
    wrong += ["lines of unequal length"] * any(len(row) != len(names) for row in rows)
    if wrong:
        raise UserError(f"{path} is not a table of results ({', '.join(wrong)}); render it again.")
    lines = [dict(zip(names, row, strict=True)) for row in rows]
    for line in lines:
        if (line["table"], line["scale"]) != (path.stem, scale):
            raise UserError(f"{path} is of table {line['table']}, scale {line['scale']}; move it there.")
    return lines


def _by_seed(path: Path, line: Mapping[str, str]) -> dict[int, float]:
    seeds, values = line["seeds"].split(), line["values"].split()
    try:
        found = {int(seed): float(value) for seed, value in zip(seeds, values, strict=True)}
    except ValueError:
        found = {}
    if len(found) != len(seeds) or not all(map(math.isfinite, found.values())):
        raise UserError(
            f"{path}: '{line['seeds']}' and '{line['values']}' are not seeds and a value of each; render it again."
        )
    return found
