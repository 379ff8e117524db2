"""The column of measured effects: made anew on every call, and nothing else of the page touched."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fasa.reporting.csv_tables import KeptCell, Results
from fasa.reporting.findings.deviations import insert_effects
from fasa.study.artifacts import Column, Row, Table
from fasa.study.scales import scale_model

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/deviations.md").read_text()

SMALL = """Words.

| # | What | Ours |
|---|---|---|
| 5 | Spread, `a \\| b` | variance |
| 6 | One sample | – |

| # | What | Ours |
|---|---|---|
| 7 | First sighting | copied |
"""


def ambiguities(*deviations):
    rows = [Row(id="base", label="Ours", recipe="r")]
    rows += [
        Row(id=f"row{index}", label=f"`o{index}`", recipe="r", baseline="base", deviation=number)
        for index, number in enumerate(deviations)
    ]
    columns = (Column(key="mask_ap.AP", label="AP"), Column(key="accuracy.last", label="top-1"))
    return {
        "t": Table(
            name="t",
            title="T",
            published_as="not in the paper",
            dataset="lvis_v1",
            caption="C.",
            columns=columns,
            rows=tuple(rows),
        )
    }


def kept(scale, column, **rows):
    cells = {("t", row, column): KeptCell(dict(enumerate(values)), "") for row, values in rows.items()}
    size = scale_model()(name=scale, description="Small.", classification={"seeds": [0]})
    return Results(size, Path("tables"), Path("figures"), cells, {"t": ("glyphs",)})


def test_a_measured_row_tells_its_difference_at_every_scale_that_has_it():
    found = [
        kept("proxy", "accuracy.last", base=[40.0, 41.0, 42.0], row0=[41.0, 43.0, 45.0]),  # 1, 2, 3
        kept("mini", "mask_ap.AP", base=[30.0], row0=[29.79]),
    ]
    page = insert_effects(SMALL, ambiguities(5), found)
    lines = page.splitlines()
    assert lines[2] == "| # | What | Ours | Measured effect |"
    assert lines[3] == "|---|---|---|---|"
    # mean 2, half width 4.303 * 1 / sqrt(3) = 2.48
    effect = r"\`o0\`: top-1 +2.00 \[−0.48, +4.48\], n = 3 (proxy); AP −0.21, n = 1 (mini)"
    assert lines[4] == rf"| 5 | Spread, `a \| b` | variance | {effect} |"
    assert lines[5] == "| 6 | One sample | – | – |"
    assert lines[7:] == SMALL.splitlines()[7:]  # nothing of this table is measured: no column


def test_columns_of_one_scale_share_their_number_of_seeds():
    one = kept("mini", "mask_ap.AP", base=[30.0, 31.0], row0=[30.5, 31.7])
    other = kept("mini", "accuracy.last", base=[40.0, 40.0], row0=[41.0, 41.0])
    page = insert_effects(SMALL, ambiguities(5), [replace(one, cells={**one.cells, **other.cells})])
    assert r"AP +0.60 \[−0.67, +1.87\], top-1 +1.00 \[+1.00, +1.00\], n = 2 (mini) |" in page  # 12.71 x 0.1


def test_two_rows_of_one_decision_stand_in_one_cell_and_what_was_not_run_says_so():
    page = insert_effects(SMALL, ambiguities(6, 6), [kept("mini", "mask_ap.AP", base=[30.0, 31.0], row1=[30.5, 31.5])])
    assert r"| – | \`o0\`: not run<br>\`o1\`: AP +0.50 \[+0.50, +0.50\], n = 2 (mini) |" in page


def test_rows_of_two_tables_with_one_label_are_one_option():
    tables = {"t": ambiguities(5)["t"], "u": ambiguities(5)["t"].model_copy(update={"name": "u"})}
    assert r"| variance | \`o0\`: not run |" in insert_effects(SMALL, tables, [])
    page = insert_effects(SMALL, tables, [kept("mini", "mask_ap.AP", base=[30.0], row0=[31.0])])
    assert r"| variance | \`o0\`: AP +1.00, n = 1 (mini) |" in page


@pytest.mark.parametrize("numbers", [(), (5,), (5, 7), (1, 20, 43, 79)])
@pytest.mark.parametrize("text", [SMALL, PAGE])
def test_it_is_the_same_again_and_leaves_the_rest_as_it_was(text, numbers):
    bare = insert_effects(text, ambiguities(), [])
    assert "| Measured effect |" not in bare
    once = insert_effects(bare, ambiguities(*numbers), [])
    assert insert_effects(once, ambiguities(*numbers), []) == once
    assert insert_effects(once, ambiguities(), []) == bare
    assert once.count("not run") - bare.count("not run") == len([n for n in numbers if f"\n| {n} |" in bare])


def test_every_deviation_that_a_row_measures_is_in_the_page():
    from fasa.reporting.findings import load_paper

    rows = [row for table in load_paper(ROOT).tables.values() for row in table.rows if row.deviation is not None]
    numbers = {int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert numbers == set(range(1, max(numbers) + 1))
    assert all(row.deviation in numbers and row.baseline is not None for row in rows)
