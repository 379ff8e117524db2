"""A table as a data frame of raw numbers, and its three files: LaTeX, Markdown and CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from fasa import atomic
from fasa.reporting.cells import Cell, build_cells, datasets_used, explain_missing
from fasa.reporting.latex import render_latex
from fasa.reporting.markdown import render_markdown
from fasa.reporting.sheet import build_sheet

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Table


def table_frame(study: Study, table: Table) -> pd.DataFrame:
    """One line per row × column: published and own numbers in the column's unit at full precision, seeds, verdict."""
    constant = {
        "scale": study.scale.name,
        "comparable": study.scale.comparable,
        "published_dataset": table.dataset,
        "dataset": " ".join(datasets_used(study, table)),
    }
    return pd.DataFrame([_record(table, cell) | constant for cell in build_cells(study, table)])


def write_table(study: Study, table: Table) -> dict[str, Path]:
    """Write ``table`` in all its formats; the same runs give the same bytes.

    Returns:
        ``{"tex": …, "md": …, "csv": …}``, where each format went.
    """
    sheet = build_sheet(study, table)
    contents = {
        "tex": render_latex(sheet),
        "md": render_markdown(sheet),
        "csv": table_frame(study, table).to_csv(index=False, lineterminator="\n"),
    }
    paths = study.table_paths(table.name)
    for extension, content in contents.items():
        atomic.write_text(paths[extension], content)
    return paths


def _record(table: Table, cell: Cell) -> dict[str, object]:
    row, difference = cell.row, cell.difference
    return {
        "table": table.name,
        "row": row.id,
        "group": row.group,
        "label": row.label,
        "control": row.control,
        "recipe": row.recipe,
        "column": cell.column.key,
        "measure": cell.measure,
        "unit": cell.column.unit,
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
        "missing": explain_missing(cell.missing),
    }


def _join(values: tuple[float, ...]) -> str:
    return " ".join(repr(value) for value in values)
