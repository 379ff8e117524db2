"""Tables, figures, findings and the report: made from the runs' metrics.json, beside the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fasa import atomic
from fasa.errors import UserError, closest

if TYPE_CHECKING:
    from fasa.study import Study

__all__ = [
    "NO_TEX",
    "fill_template",
    "render_figure",
    "render_findings",
    "render_paper",
    "render_report",
    "render_table",
]

NO_TEX = "paper.pdf is not built, for none of latexmk, pdflatex and tectonic is installed; paper.tex is ready for them."
Item = TypeVar("Item")


def render_table(study: Study, name: str) -> list[Path]:
    """Write table ``name`` as LaTeX, Markdown and CSV, and return where; the same runs give the same bytes.

    Raises:
        UserError: there is no such table, or the folder cannot be written.
    """
    from fasa.reporting import csv_tables, latex, markdown
    from fasa.reporting.cells import measure_table
    from fasa.reporting.layout import lay_out

    measured = measure_table(study, _named(study.tables, name, "table"))
    printed = lay_out(measured)
    paths = study.table_paths(name)
    atomic.write_text(paths["tabular.tex"], latex.render_tabulars(printed))
    atomic.write_text(paths["tex"], latex.render_floats(printed))
    atomic.write_text(paths["md"], markdown.render(printed))
    atomic.write_text(paths["csv"], csv_tables.render(measured))
    return list(paths.values())


def render_figure(study: Study, name: str, for_paper: bool = False) -> list[Path]:
    """Write figure ``name`` as PDF and PNG, and return where; ``for_paper`` without notes, in a folder of their own.

    Raises:
        UserError: there is no such figure, nothing of it to draw for a paper, or the folder cannot be written.
    """
    from fasa.reporting import figures

    figure = _named(study.figures, name, "figure")
    if for_paper:
        canvas, note = figures.draw_for_paper(figure, study)
        if canvas is None:
            raise UserError(f"figure {name} is empty: {note}.")
    else:
        canvas = figures.draw(figure, study)
    paths = study.figure_paths(name, for_paper)
    for extension, path in paths.items():
        atomic.write_bytes(path, figures.encode(canvas, extension))
    return list(paths.values())


def render_paper(study: Study) -> list[Path]:
    """Write ``numbers.tex``, ``paper.tex`` and what it shows, and ``paper.pdf`` where a TeX is installed; say where.

    Raises:
        UserError: the folder cannot be written, or TeX refuses the document.
    """
    from fasa.reporting import paper

    return paper.write(study)


def render_report(study: Study) -> Path:
    """Write the report of the whole scale, one self-contained HTML file, and return its path.

    Raises:
        UserError: the folder cannot be written.
    """
    from fasa.reporting import report

    atomic.write_text(study.report_path, report.render(study))
    return study.report_path


def render_findings(study: Study) -> Path:
    """Write the paper's claims, tested on this scale's tables as they are rendered, and return the page's path.

    Raises:
        UserError: no table is rendered, or one is damaged.
    """
    from fasa.reporting import findings

    atomic.write_text(study.findings_path, findings.render_own(study))
    return study.findings_path


def fill_template(name: str, **values: Any) -> str:
    """A page of ``templates/`` as HTML; everything that comes from a file is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fasa.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values)


def _named(items: Mapping[str, Item], name: str, what: str) -> Item:
    if name not in items:
        raise UserError(f"there is no {what} '{name}'{closest(name, items)}.")
    return items[name]
