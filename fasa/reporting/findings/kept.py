"""Tables of results read back from their CSV files: what the findings are made of, whatever became of the runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fasa.errors import UserError
from fasa.study.scales import Scale, load_scale

LARGEST_FIRST = ("paper", "proxy", "mini", "smoke")
NEEDED = ("table", "row", "column", "seeds", "values", "missing", "scale", "dataset")


@dataclass(frozen=True)
class KeptCell:
    """Our values of one cell by seed, in the column's unit, and why some are missing."""

    values: dict[int, float]
    missing: str


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


def read_results(tables: Path, figures: Path, scales: Path) -> Results:
    """The tables in the folder ``tables``, which is named SCALE/tables, of a scale of the folder ``scales``.

    Raises:
        UserError: a file is not what ``fasa render`` writes, or there is no such scale.
    """
    cells: dict[tuple[str, str, str], KeptCell] = {}
    datasets: dict[str, tuple[str, ...]] = {}
    scale = load_scale(scales, tables.parent.name)
    for path in sorted(tables.glob("*.csv")):
        frame = _read(path, scale.name)
        datasets[path.stem] = tuple(frame["dataset"].iloc[0].split())
        for line in frame.itertuples():
            cells[path.stem, line.row, line.column] = KeptCell(_by_seed(path, line.seeds, line.values), line.missing)
    return Results(scale, tables, figures, cells, datasets)


def read_kept(reference: Path, pictures: Path, scales: Path) -> tuple[Results, ...]:
    """The scales that are kept under ``reference``, the largest first; ``pictures`` has a folder of each, too.

    Raises:
        UserError: as of :func:`read_results`.
    """
    folders = [path for path in reference.glob("*/tables") if any(path.glob("*.csv"))]
    folders.sort(key=lambda path: (_rank(path.parent.name), path.parent.name))
    return tuple(read_results(path, pictures / path.parent.name, scales) for path in folders)


def _rank(scale: str) -> int:
    return LARGEST_FIRST.index(scale) if scale in LARGEST_FIRST else len(LARGEST_FIRST)


def _read(path: Path, scale: str) -> pd.DataFrame:
    """Text as it stands: pandas would read the seed list "0" as a number and an empty one as none."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); render the table again.") from error
    lacking = [name for name in NEEDED if name not in frame.columns]
    if lacking or frame.empty:
        raise UserError(f"{path} is not a table of results ({', '.join(lacking) or 'no rows'}); render it again.")
    if set(frame["table"]) != {path.stem} or set(frame["scale"]) != {scale}:
        raise UserError(f"{path} is of table {frame['table'].iloc[0]}, scale {frame['scale'].iloc[0]}; move it there.")
    return frame


def _by_seed(path: Path, seeds: str, values: str) -> dict[int, float]:
    try:
        return {int(seed): float(value) for seed, value in zip(seeds.split(), values.split(), strict=True)}
    except ValueError as error:
        raise UserError(
            f"{path}: '{seeds}' and '{values}' are not seeds and a value of each; render it again."
        ) from error
