"""The pages of kept tables, made from their CSV files: most of the runs themselves are not kept."""

from __future__ import annotations

from pathlib import Path

from fasa.reporting import latex, markdown, numbers
from fasa.reporting.csv_tables import measure_kept, read_kept
from fasa.reporting.findings import KEPT, PICTURES, judge_measured
from fasa.reporting.layout import lay_out
from fasa.study import load_study


def render_tables(root: Path) -> dict[Path, str]:
    """Markdown and LaTeX of each table in ``results/reference``, and each scale's numbers.tex, by path.

    Raises:
        UserError: a mistake in the configs, or a damaged table.
    """
    texts: dict[Path, str] = {}
    for results in read_kept(root / KEPT, root / PICTURES, root):
        study = load_study(root, results.scale.name)
        measured = [measure_kept(study, name, results) for name in results.datasets if name in study.tables]
        for table in measured:
            printed = lay_out(table)
            texts[results.tables / f"{table.table.name}.md"] = markdown.render(printed)
            texts[results.tables / f"{table.table.name}.tabular.tex"] = latex.render_tabulars(printed)
            texts[results.tables / f"{table.table.name}.tex"] = latex.render_floats(printed)
        judged = judge_measured(study, measured)
        texts[results.tables.parent / "numbers.tex"] = numbers.render(results.scale.name, measured, judged)
    return texts
