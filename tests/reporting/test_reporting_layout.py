"""Tables of many columns: published and reproduced below one another, levels first, then differences."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from fasa.reporting import best, latex, markdown, render_report
from fasa.reporting.cells import measure_table
from fasa.reporting.layout import lay_out
from fasa.study.artifacts import Table

ROOT = Path(__file__).parents[2]
LEVELS = {  # AP and APr of three seeds, in fractions
    "plain": [(0.200, 0.080), (0.210, 0.090), (0.220, 0.070)],
    "fasa": [(0.230, 0.100), (0.240, 0.090), (0.250, 0.095)],
    "other": [(0.200, None)],
}


def table(**changes) -> Table:
    content = {
        "name": "ablation",
        "title": "Ablation",
        "published_as": "Table 1",
        "dataset": "lvis_v1",
        "caption": "Mask AP.",
        "note": "What a reader must know.",
        "tolerance": 1.0,
        "columns": [
            {"key": "mask_ap.AP", "label": "AP", "published": "ap"},
            {"key": "mask_ap.APr", "label": "APr", "published": "ap_r"},
            {"key": "cost.time", "label": "Time", "published": "time", "unit": "s", "decimals": 3},
        ],
        "rows": [
            {
                "id": "plain",
                "label": "Plain",
                "recipe": "plain",
                "published": {"ap": [15.6, 0.2], "ap_r": 0.0, "time": 0.5},
            },
            {
                "id": "fasa",
                "label": "FASA",
                "recipe": "fasa",
                "baseline": "plain",
                "published": {"ap": 20.5, "ap_r": 7.0},
            },
            {"id": "other", "label": "Other", "recipe": "other", "baseline": "plain"},
            {"id": "gone", "label": "Gone", "recipe": "gone", "baseline": "plain", "control": True},
        ],
    }
    return Table.model_validate({**content, **changes})


def laid_out(study, table):
    return lay_out(measure_table(study, table))


@pytest.fixture
def study(invented, tmp_path):
    def make(shown: Table, **changes):
        runs = {}
        for recipe, seeds in LEVELS.items():
            for seed, (ap, rare) in enumerate(seeds):
                runs[recipe, seed] = invented.metrics(recipe, seed)
                levels = {"AP": ap, "APr": rare}
                runs[recipe, seed]["measurements"] = {"mask_ap": levels, "fixed": levels, "cost": {"time": 0.25}}
        shutil.copytree(ROOT / "configs", tmp_path / "configs", dirs_exist_ok=True)
        return invented.study(tmp_path, runs, {shown.name: shown}, {}, **changes)

    return make


def printed(block) -> dict[str, dict[str, tuple[str, ...]]]:
    """{row label: {what a line is of: its cells}}."""
    return {row.label: {line.kind.text: tuple(e.text for e in line.cells) for line in row.lines} for row in block.rows}


def test_published_stands_above_reproduced_and_differences_below_them(study):
    levels, differences = laid_out(study(table()), table()).blocks
    assert levels.columns == ("AP (%)", "APr (%)", "Time (s)")  # of several units
    rows = printed(levels)
    assert list(rows) == ["Plain", "FASA", "Other", "Gone"]
    assert rows["Plain"] == {
        "published": ("15.6 ± 0.20", "0.0", "0.500"),
        "reproduced, n = 3": ("21.00 ± 1.00", "8.00 ± 1.00", "0.250 ± 0.000"),
    }
    assert list(rows["FASA"]) == ["published", "reproduced, n = 3"]  # its verdict stands with its difference
    # FASA − plain: 3, 3, 3 in AP; 2, 0, 2.5 in APr: mean 1.5, std 1.3229, half width 4.30265 x 1.3229 / sqrt(3) = 3.286
    assert printed(differences)["FASA"] == {
        "published": ("+4.9", "+7.0", "—"),
        "reproduced, n = 3": ("+3.00", "+1.50", "+0.000"),
        "95 % interval": ("[+3.00, +3.00]", "[−1.79, +4.79]", "[+0.000, +0.000]"),
        "verdict": ("confirmed", "undecided", "—"),
    }


def test_a_row_of_nothing_published_has_no_such_line_and_no_verdict(study):
    levels, differences = laid_out(study(table()), table()).blocks
    assert printed(levels)["Other"] == {"reproduced, n = 1": ("20.00", "—", "0.250")}
    assert printed(differences)["Other"] == {"reproduced, n = 1": ("+0.00", "—", "+0.000")}


def test_what_a_whole_row_lacks_is_said_once_and_what_a_cell_lacks_at_the_cell(study):
    whole = laid_out(study(table()), table())
    rows = {row.label: row.lines[-1] for row in whole.blocks[0].rows}
    notes = dict(whole.notes)
    assert rows["Gone"].kind.text == "reproduced"
    assert notes[rows["Gone"].kind.mark] == "seeds 0, 1, 2: not run"
    assert {cell.text for cell in rows["Gone"].cells} == {"—"}
    assert {cell.mark for cell in rows["Gone"].cells} == {""}
    marks = [cell.mark for cell in rows["Other"].cells]
    assert notes[marks[0]] == notes[marks[2]] == "seeds 1, 2: not run"
    assert notes[marks[1]] == "seed 0: the run has no such measurement; seeds 1, 2: not run"


def test_a_row_without_a_baseline_is_judged_by_its_level_where_levels_compare(study):
    rows = printed(laid_out(study(table(), comparable=True), table()).blocks[0])
    assert rows["Plain"]["verdict"] == ("off by +5.40", "off by +8.00", "within 1.0")
    without = table(tolerance=None)
    assert "verdict" not in printed(laid_out(study(without, comparable=True), without).blocks[0])["Plain"]


def test_columns_of_a_group_are_printed_together(study):
    columns = [
        {"key": f"{group}.{key}", "label": key, "published": published, "group": group.title()}
        for group, key, published in (
            ("mask_ap", "AP", "ap"),
            ("fixed", "AP", None),
            ("mask_ap", "APr", "ap_r"),
            ("fixed", "APr", "time"),
        )
    ]
    shown = table(columns=columns)
    blocks = laid_out(study(shown), shown).blocks
    assert [block.heading for block in blocks] == [
        "Mask_Ap (%)",
        "Mask_Ap: differences from the row's baseline (%)",
        "Fixed (%)",
        "Fixed: differences from the row's baseline (%)",
    ]
    assert {block.columns for block in blocks} == {("AP", "APr")}
    assert printed(blocks[0])["Plain"]["published"] == ("15.6 ± 0.20", "0.0")
    assert printed(blocks[2])["Plain"]["published"] == ("—", "0.5")


def test_without_baselines_there_are_no_differences(study):
    rows = [{**row.model_dump(), "baseline": None} for row in table().rows]
    shown = table(rows=rows)
    assert len(laid_out(study(shown), shown).blocks) == 1


def test_the_note_is_the_first_remark(study):
    whole = laid_out(study(table()), table())
    assert whole.remarks[0] == "What a reader must know."
    assert "Baselines: Plain for FASA · Other · Gone." in whole.remarks


def test_baselines_name_their_group_once(study):
    rows = [row.model_dump() for row in table().rows]
    for row, group in zip(rows, ("R50", "R50", "R101", "R50"), strict=True):
        row["group"] = group
    rows[2]["baseline"] = None
    shown = table(rows=rows)
    assert "Baselines: Plain for FASA · Gone (R50)." in laid_out(study(shown), shown).remarks
    rows[2]["baseline"] = "plain"  # of another group: each says its own
    shown = table(rows=rows)
    told = "Baselines: Plain (R50) for FASA (R50) · Other (R101) · Gone (R50)."
    assert told in laid_out(study(shown), shown).remarks


def test_markdown_and_latex_have_as_many_cells_in_every_line(study):
    whole = laid_out(study(table()), table())
    lines = [line for line in markdown.render(whole).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {1 + 2 + 3}
    assert "| Plain | published | 15.6 ± 0.20 | 0.0 | 0.500 |" in lines
    assert "|  | reproduced, n = 3 | 21.00 ± 1.00 | 8.00 ± 1.00 | 0.250 ± 0.000 |" in lines
    text = latex.render_tabulars(whole)
    for body in re.findall(r"\\midrule(.*?)\\bottomrule", text, re.DOTALL):
        lines = [line for line in body.splitlines() if line.endswith(r"\\") and "Controls" not in line]
        assert {line.count(" & ") + line.count(r"\multicolumn{2}") for line in lines} <= {1 + 5, 1 + 6, 1 + 3}
    assert text.index("published & 15.6") < text.index("reproduced, n = 3 & 21.00") < text.index("+4.9")
    floats = latex.render_floats(whole)
    assert r"\label{tab:ablation}" in floats and r"\label{tab:ablation-2}" in floats


def test_the_best_of_a_column_is_bold_published_and_ours_each_for_itself(study):
    rows = {row.label: row for row in laid_out(study(table()), table()).blocks[0].rows}
    best = {
        (label, line.kind.text.partition(",")[0]): [cell.best for cell in line.cells]
        for label, row in rows.items()
        for line in row.lines
    }
    assert best["FASA", "published"] == [True, True, False]
    assert best["Plain", "published"] == [False, False, False]  # one published time: nothing to compare
    assert best["FASA", "reproduced"] == [True, True, False]  # 24.00 and 9.50; all times print as 0.250
    assert best["Plain", "reproduced"] == best["Gone", "reproduced"] == [False] * 3
    text = latex.render_tabulars(laid_out(study(table()), table()))
    assert r"\bfseries 24.00 & \bfseries \,$\pm$ 1.00" in text
    assert latex.RULE in latex.render_floats(laid_out(study(table()), table()))


def test_less_is_better_of_errors_and_costs_and_nothing_is_of_other_figures(invented):
    def marked(key, means):
        return best.best(invented.column(key), means, 1)

    assert marked("tide.cls", [5.0, 4.0, None, 4.04]) == [False, True, False, True]  # both print as 4.0
    assert marked("cost.memory_gb", [5.0, 4.0]) == [False, True]
    assert marked("accuracy.last", [5.0, 4.0]) == [True, False]
    assert marked("figures.groups.count", [5.0, 4.0]) == [False, False]
    assert marked("mask_ap.AP", [5.0, None]) == marked("mask_ap.AP", [5.0, 5.0]) == [False, False]


def test_the_report_spans_a_rows_lines(study):
    page = render_report(study(table())).read_text()
    assert re.search(r'<th scope="rowgroup" rowspan="2">Plain</th>', page)
    assert re.search(r'<th scope="rowgroup" rowspan="4">FASA</th>', page)
    assert '<td class="good">confirmed</td>' in page
    assert page.count("<tbody>") == page.count("</tbody>")
    # a detector is listed by its AP of masks
    assert re.search(r"<code>fasa</code></a></th><td class=\"number\">1</td>.*\n.*>24.00<", page)
