"""The table's layout: nothing is cut off, whatever the width and the names."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from fasa.evaluation.metrics.matching import PROTOCOLS
from fasa.evaluation.score import arguments
from fasa.evaluation.score.scores import labels
from fasa.evaluation.score.table import Cell, Row, print_table

LONG = [
    f"mask_rcnn_r50_fpn_random_seesaw_loss_mstrain_2x_lvis_v1_{name}.segm.json" for name in ("plain", "fasa", "more")
]


def shown(width: int, names: list[str]) -> str:
    cells = [Cell(value, 2, (value - 1, value + 1), (-1.0, 1.0)) for value in (23.456, 21.0, 30.125)]
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    rows = [Row("AP", cells), Row("group"), Row("APr", [Cell(None)] * 3), Row("classes", [Cell(1234, 0)] * 3)]
    print_table(console, rows, names)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [46, 80, 120, 10_000])
@pytest.mark.parametrize("names", [["a.json", "b.json", "c.json"], LONG])
def test_no_figure_and_no_name_is_cut_off(width, names):
    text = shown(width, names)
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    assert all(piece in text for piece in ("23.46", "[22.46, 24.46]", "21.00", "30.12", "1,234", "—"))
    if names is LONG:
        assert all(piece in text for piece in ("mask_rcnn_", "seesaw_loss_", "plain.", "fasa.", "more."))


def test_differences_are_from_the_first_file_and_signed():
    lines = shown(10_000, ["a", "b", "c"]).splitlines()
    (line,) = [line for line in lines if " AP " in line]
    assert "-2.46 [-1.00, +1.00]" in line and "+6.67 [-1.00, +1.00]" in line
    (line,) = [line for line in lines if "classes" in line]
    assert line.split() == ["classes", "1,234", "1,234", "0", "1,234", "0"]


def test_files_that_do_not_fit_side_by_side_come_below_each_other():
    wide, narrow = shown(140, ["a", "b", "c"]), shown(80, ["a", "b", "c"])
    assert wide.count(" APr ") == 1 and narrow.count(" APr ") == 2


def test_names_in_brackets_are_no_markup():
    assert "[red]a.json" in shown(10_000, ["[red]a.json", ":smile:", "c"])


@pytest.mark.parametrize(
    "paths, names",
    [
        (["x/a.json", "y/b.json"], ["a.json", "b.json"]),
        (["x/a.json", "y/a.json", "b.json"], ["x/a.json", "y/a.json", "b.json"]),
        (["1/x/a.json", "2/x/a.json"], ["1/x/a.json", "2/x/a.json"]),
        (["a.json", "b.json", "a.json"], ["a.json (1)", "b.json", "a.json (2)"]),
    ],
)
def test_equal_base_names_are_told_apart(paths, names):
    assert labels([Path(path) for path in paths]) == names


def test_the_command_line_knows_every_protocol():
    assert arguments.PROTOCOLS == PROTOCOLS
