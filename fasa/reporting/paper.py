"""``paper.tex``: all tables and figures in the paper's order, published beside reproduced, and the PDF made of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fasa import atomic, reporting
from fasa.errors import UserError
from fasa.reporting import csv_tables, figures, numbers
from fasa.reporting.cells import measure_table
from fasa.reporting.escapes import escape
from fasa.reporting.findings import judge_measured
from fasa.reporting.findings.page import count_verdicts
from fasa.reporting.latex import COLUMN, PAGE, titled
from fasa.study.artifacts import Figure, Table, is_ours

if TYPE_CHECKING:
    from fasa.study import Study

TEXT = r"""% Made by `fasa render paper --scale SCALE` from the tables, numbers and figures beside it.
\documentclass[10pt,twocolumn]{article}
\usepackage{booktabs,graphicx,siunitx}
\usepackage[WIDTHS,textheight=641pt,headheight=0pt,headsep=0pt]{geometry}
\pdftrailerid{}
\newcommand{\fasatables}{tables/}
\extrafloats{200}
\input{numbers}
\title{FASA (ICCV 2021), reproduced: scale \fasaScale}
\author{}
\date{}
\begin{document}
\maketitle
\noindent All tables and figures of FASA (Zang et al., 2021) that were reproduced at scale \fasaScale, published numbers
beside ours. SUMMARY
"""
WIDTHS = f"textwidth={PAGE:.0f}pt,columnsep={PAGE - 2 * COLUMN:.0f}pt"
PARTS = ("The paper", "The supplement", "Not in the paper")
ENGINES = {
    "latexmk": ("-pdf", "-interaction=nonstopmode", "-halt-on-error", "-outdir={out}"),
    "pdflatex": ("-interaction=nonstopmode", "-halt-on-error", "-output-directory={out}"),
    "tectonic": ("--outdir={out}",),
}


def write(study: Study) -> list[Path]:
    """Write numbers, document, figures and, where a TeX is installed, the PDF of ``study``; what was written.

    Raises:
        UserError: a folder cannot be written, or TeX refuses the document.
    """
    shown = study.started_artifacts()
    measured = [measure_table(study, table) for name, table in study.tables.items() if name in shown]
    judged = judge_measured(study, measured)
    started = [one for one in measured if one.started]
    tables = [one.table for one in started]
    for found in started:
        paths = study.table_paths(found.table.name)
        # What is up to date stays, with its date: other steps of the workflow read it.
        if not all(path.exists() for path in paths.values()) or paths["csv"].read_text() != csv_tables.render(found):
            reporting.render_table(study, found.table.name)
    drawn = [one for figure in study.figures.values() if (one := _drawn(study, figure)) is not None]
    there = {artifact.name for artifact in (*tables, *(one.figure for one in drawn))}
    every: list[Table | Figure] = [*study.tables.values(), *study.figures.values()]
    lacking = [one for one in every if one.name not in there]
    missing = [one.title if is_ours(one) else one.published_as for one in lacking]
    summary = f"Of {len(judged)} claims: {count_verdicts(judged)}."
    source, numbers_path = study.paper_path, study.paper_path.with_name("numbers.tex")
    atomic.write_text(numbers_path, numbers.render(study.scale.name, measured, judged))
    atomic.write_text(source, render(study.scale.name, summary, tables, drawn, missing))
    written = [numbers_path, source]
    if (pdf := build(source)) is not None:
        atomic.write_bytes(source.with_suffix(".pdf"), pdf)
        written.append(source.with_suffix(".pdf"))
    return written


@dataclass(frozen=True)
class Drawn:
    """A figure for the paper: its file, whether it takes both columns, and what its caption adds."""

    figure: Figure
    file: Path
    wide: bool
    note: str


def render(scale: str, summary: str, tables: Iterable[Table], drawn: Iterable[Drawn], missing: Sequence[str]) -> str:
    """The document.

    Args:
        summary: what the claims came to, in words.
        tables: those that have a run.
        missing: tables and figures that have none, by where the paper prints them.
    """
    told = f"{summary} No run of: {', '.join(missing)}." if missing else summary
    lines = [TEXT.replace("SCALE", scale).replace("WIDTHS", WIDTHS).replace("SUMMARY", escape(told))]
    entries = [(place(table), [rf"\input{{tables/{table.name}}}"]) for table in tables]
    entries += [(place(one.figure), _float(one)) for one in drawn]
    for number, part in enumerate(PARTS):
        own = [entry for entry in sorted(entries) if entry[0][0] == number]
        if own:
            lines += [rf"\section*{{{part}}}", *(line for _, float_lines in own for line in float_lines), r"\clearpage"]
    return "\n".join([*lines, r"\end{document}", ""])


def place(artifact: Table | Figure) -> tuple[int, bool, int, str]:
    """Where an artifact stands: the paper, its supplement or neither; figures before tables; its number.

    What draws a table stands by that table.
    """
    part = 2 if is_ours(artifact) else int(artifact.published_as.lower().startswith("supplement"))
    found = re.search(r"(Figure|Table) (\d+)(\w?)", artifact.published_as)
    kind, number, letter = found.groups() if found else ("", 0, "")
    return part, kind == "Table", int(number), letter + artifact.name


def build(source: Path) -> bytes | None:
    """The PDF of the document at ``source``; None where no TeX is installed.

    Raises:
        UserError: TeX refuses the document.
    """
    engine = next((name for name in ENGINES if shutil.which(name)), None)
    if engine is None:
        return None
    with tempfile.TemporaryDirectory() as out:
        command = [engine, *(option.format(out=out) for option in ENGINES[engine]), source.name]
        always_the_same = {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
        done = subprocess.run(
            command, cwd=source.parent, env={**os.environ, **always_the_same}, capture_output=True, errors="replace"
        )
        pdf = Path(out) / source.with_suffix(".pdf").name
        if done.returncode or not pdf.exists():
            told = next((line for line in done.stdout.splitlines() if line.startswith("!")), done.stderr.strip()[-200:])
            raise UserError(f"{engine} cannot build {source} ({told}).")
        return pdf.read_bytes()


def _drawn(study: Study, figure: Figure) -> Drawn | None:
    """Draw ``figure`` into its folder; None where it has no run."""
    canvas, note = figures.draw_for_paper(figure, study)
    if canvas is None:
        return None
    path = study.figure_paths(figure.name, for_paper=True)["pdf"]
    atomic.write_bytes(path, figures.encode(canvas, "pdf"))
    wide = canvas.get_figwidth() > 1.1 * COLUMN / 72
    here = study.paper_path.parent.resolve()  # TeX follows links of folders, so the way up starts where they lead
    return Drawn(figure, Path(os.path.relpath(path.resolve(), here)), wide, note)


def _float(drawn: Drawn) -> list[str]:
    figure, name = drawn.figure, "figure*" if drawn.wide else "figure"
    return [
        rf"\begin{{{name}}}[t]",
        r"\centering",
        rf"\includegraphics[width=\linewidth,height=.8\textheight,keepaspectratio]{{{drawn.file.as_posix()}}}",
        rf"\caption{{{escape(f'{titled(figure)} {figure.caption} {drawn.note}'.strip())}}}",
        rf"\label{{fig:{figure.name}}}",
        rf"\end{{{name}}}",
    ]
