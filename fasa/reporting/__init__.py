"""Tables, figures and the report: written from the runs' metrics.json, beside the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasa.errors import UserError

if TYPE_CHECKING:
    from fasa.study import Study

__all__ = ["render_figure", "render_findings", "render_report", "render_table"]


def render_table(study: Study, name: str) -> list[Path]:
    """Write table ``name`` as LaTeX, Markdown and CSV, and return where.

    Raises:
        UserError: there is no such table, or the folder cannot be written.
    """
    from fasa.reporting.tables import write_table

    return list(write_table(study, _named(study.tables, name, "table")).values())


def render_figure(study: Study, name: str) -> list[Path]:
    """Write figure ``name`` as PDF and PNG, and return where.

    Raises:
        UserError: there is no such figure or kind of figure, or the folder cannot be written.
    """
    from fasa.reporting import figures

    figure = _named(study.figures, name, "figure")
    paths = study.figure_paths(name)
    figures.save(figures.draw(figure, study), paths)
    return list(paths.values())


def render_report(study: Study) -> Path:
    """Write the report of the whole scale, one self-contained HTML file, and return its path.

    Raises:
        UserError: a figure is of no known kind, or the folder cannot be written.
    """
    from fasa.reporting.html import write_report

    return write_report(study)


def render_findings(study: Study) -> Path:
    """Write the paper's claims, tested on this scale's tables as they are rendered, and return the page's path.

    Raises:
        UserError: no table is rendered, or one is damaged.
    """
    from fasa.reporting.findings import write_own

    return write_own(study)


def _named(items: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in items:
        raise UserError(f"there is no {what} {name!r}; there are {', '.join(sorted(items)) or 'none'}.")
    return items[name]
