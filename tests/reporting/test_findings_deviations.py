"""The table of measured effects: made anew on every call, and nothing else of the page touched."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

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

<!-- effects -->
| old |
<!-- /effects -->

More words.
"""
HEAD = ["| Row | Other choice | Scale | Difference from ours | n |", "| --- | --- | --- | --- | --- |"]


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


def inserted(tables, results):
    """The lines of the table of effects; all else is as it was."""
    before, after = SMALL.split("| old |\n")
    page = insert_effects(SMALL, tables, results, Path("deviations.md"))
    assert page.startswith(before) and page.endswith(after)
    assert insert_effects(page, tables, results, Path("deviations.md")) == page
    lines = page[len(before) : -len(after)].splitlines()
    assert lines[:2] == HEAD
    return lines[2:]


def test_a_measured_row_tells_its_difference_at_every_scale_that_has_it():
    found = [
        kept("proxy", "accuracy.last", base=[40.0, 41.0, 42.0], row0=[41.0, 43.0, 45.0]),  # 1, 2, 3
        kept("mini", "mask_ap.AP", base=[30.0], row0=[29.79]),
    ]
    assert inserted(ambiguities(5), found) == [
        r"| 5 | \`o0\` | proxy | top-1 +2.00 \[−0.48, +4.48\] | 3 |",  # half of it is 4.303 * 1 / sqrt(3)
        r"| 5 | \`o0\` | mini | AP −0.21 | 1 |",
    ]


def test_columns_of_one_scale_are_one_line():
    one = kept("mini", "mask_ap.AP", base=[30.0, 31.0], row0=[30.5, 31.7])
    other = kept("mini", "accuracy.last", base=[40.0, 40.0], row0=[41.0, 41.0])
    found = inserted(ambiguities(5), [replace(one, cells={**one.cells, **other.cells})])
    both = r"AP +0.60 \[−0.67, +1.87\], top-1 +1.00 \[+1.00, +1.00\]"  # 12.71 x 0.1 / sqrt(2) x sqrt(2)
    assert found == [rf"| 5 | \`o0\` | mini | {both} | 2 |"]


def test_decisions_are_in_order_and_what_was_not_run_says_so():
    found = inserted(ambiguities(6, 6, 5), [kept("mini", "mask_ap.AP", base=[30.0, 31.0], row1=[30.5, 31.5])])
    assert found == [
        r"| 5 | \`o2\` | — | not run | — |",
        r"| 6 | \`o0\` | — | not run | — |",
        r"| 6 | \`o1\` | mini | AP +0.50 \[+0.50, +0.50\] | 2 |",
    ]


def test_rows_of_two_tables_with_one_label_are_one_option():
    tables = {"t": ambiguities(5)["t"], "u": ambiguities(5)["t"].model_copy(update={"name": "u"})}
    assert inserted(tables, []) == [r"| 5 | \`o0\` | — | not run | — |"]
    found = inserted(tables, [kept("mini", "mask_ap.AP", base=[30.0], row0=[31.0])])
    assert found == [r"| 5 | \`o0\` | mini | AP +1.00 | 1 |"]


def test_every_deviation_that_a_row_measures_is_in_the_page():
    from fasa.reporting.findings import load_paper

    rows = [row for table in load_paper(ROOT).tables.values() for row in table.rows if row.deviation is not None]
    numbers = {int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert numbers == set(range(1, max(numbers) + 1))
    assert all(row.deviation in numbers and row.baseline is not None for row in rows)
