"""The figures of every protocol, of LRP and of TIDE, as the command prints them."""

from __future__ import annotations

from collections.abc import Sequence

from fasa.evaluation import GroundTruth
from fasa.evaluation.score.page.markup import Markup, join, section, sentence, table
from fasa.evaluation.score.report import figure_rows, footnotes, lrp_rows, protocol_title, tide_table
from fasa.evaluation.score.scores import FileScores, ScoreRequest
from fasa.evaluation.score.table import Row, cell_text, difference_text


def figures(request: ScoreRequest, truth: GroundTruth, files: Sequence[FileScores]) -> Markup:
    """The section of the tables."""
    labels = [file.label for file in files]
    tables = [
        _table(protocol_title(truth.kind, protocol), figure_rows(protocol, files), labels)
        for protocol in request.protocols
    ]
    notes = [sentence(note) for note in footnotes(request, truth, files)]
    for protocol in files[0].lrp:
        tables.append(_table(f"LRP of {protocol}, in points, lower is better", lrp_rows(protocol, files), labels))
    if request.tide:
        rows, columns = tide_table(files)
        tables.append(_table("TIDE: AP50 lost to each kind of error, in points", rows, columns, len(files) > 1))
    return section("Figures", *tables, join(notes))


def _table(name: str, rows: Sequence[Row], columns: Sequence[str], differences: bool = True) -> Markup:
    headings = ["", columns[0]]
    for column in columns[1:]:
        headings += [column, "difference"] if differences else [column]
    lines = []
    for row in rows:
        texts = [row.name]
        cells = row.cells or [None] * len(columns)
        for place, cell in enumerate(cells):
            texts.append(cell_text(cell))
            if place and differences:
                texts.append(difference_text(cell, cells[0]))
        lines.append(texts)
    return table(headings, lines, name)
