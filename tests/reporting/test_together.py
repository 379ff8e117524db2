"""Pages that are rendered together share what they show."""

from __future__ import annotations

from collections import Counter

from fasa.cli import main
from fasa.reporting import cells, figures


def test_a_table_is_measured_and_a_figure_drawn_once(study, monkeypatch):
    monkeypatch.chdir(study.root)
    made: Counter[str] = Counter()
    compare, drawing = cells.compare, figures._drawing

    def counted(table, *rest):
        made[table.name] += 1
        return compare(table, *rest)

    def counted_drawing(figure, study, for_paper):
        made[figure.name] += 1
        return drawing(figure, study, for_paper)

    monkeypatch.setattr(cells, "compare", counted)
    monkeypatch.setattr(figures, "_drawing", counted_drawing)
    assert main(["render", "cifar_lt", "report", "paper", "--scale", "tiny"]) == 0
    assert {made[name] for name in study.default_artifacts()} == {1}
