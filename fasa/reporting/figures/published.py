"""The paper's number for a recipe and a measurement, as the tables hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fasa.study import Study


def published(study: Study, recipe: str, measure: str) -> float | None:
    """What the first table with a row of ``recipe`` and a column of ``measure`` prints there; None without one.

    Args:
        measure: a column's key, such as ``lvis.APr``; the number is in that column's unit.
    """
    for table in study.tables.values():
        names = [column.published for column in table.columns if column.key == measure]
        for row in table.rows:
            for name in names:
                if row.recipe == recipe and row.measure is None and name in row.published:
                    return row.published[name][0]
    return None
