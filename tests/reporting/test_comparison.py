"""``fasa compare``: the figures by hand, the sentences of its mistakes, and a comparison from nothing."""

from __future__ import annotations

import json

import pytest
from scipy.stats import ttest_rel
from toys_study import leave_metrics

from fasa.cli import main
from fasa.reporting.comparison import compare, controls

CE = [0.40, 0.42, 0.41]
FASA = [0.43, 0.43, 0.45]
DRW = [0.50, 0.53, 0.50]  # gains 10, 11 and 9 points: its interval lies above 0


def write(study, recipe, values, few=None, adjusted=None):
    """Measurements of one recipe, seed by seed."""
    for seed, value in enumerate(values):
        accuracy = {"last": value, "many": value, "medium": value, "few": few[seed] if few else None}
        measured = {"accuracy": accuracy | ({"logit_adjusted": adjusted[seed]} if adjusted else {})}
        leave_metrics(study, recipe, seed, measurements=measured)


def test_a_difference_is_paired_and_tested_as_scipy_does(study):
    write(study, "ce", CE)
    write(study, "ce_fasa", FASA)
    top, many, _, few = compare(study, "ce", "ce_fasa", (0, 1, 2, 3))
    expected = ttest_rel([100 * value for value in FASA], [100 * value for value in CE])
    low, high = expected.confidence_interval(0.95)
    assert (top.label, top.difference.n, top.difference.mean) == ("Top-1", 3, pytest.approx(8 / 3))
    assert (top.difference.low, top.difference.high, top.p) == pytest.approx((low, high, expected.pvalue))
    assert top.base.mean == pytest.approx(41) and top.verdict == "undecided" and top.headroom is None
    assert many.difference == top.difference and few.difference is None and few.p is None


def test_the_best_control_is_the_one_whose_interval_begins_highest(study):
    write(study, "ce", CE, adjusted=[0.40, 0.50, 0.60])  # gains 0, 8 and 19: a wide interval
    write(study, "ce_fasa", FASA)
    write(study, "ce_drw", DRW)
    top = compare(study, "ce", "ce_fasa", (0, 1, 2))[0]
    assert (top.headroom.row, top.headroom.recipe, top.headroom.shows) == ("ce_drw", "ce_drw", True)
    assert top.headroom.difference.mean == pytest.approx(10) and top.verdict == "undecided"
    assert compare(study, "ce", "ce_drw", (0, 1, 2))[0].verdict == "higher"
    assert compare(study, "ce_drw", "ce", (0, 1, 2))[0].verdict == "lower"
    assert "ce_drw" in controls(study, "ce") and controls(study, "ldam_fasa") == ()


def test_where_no_control_gains_there_was_nothing_to_gain(study):
    write(study, "ce", CE, adjusted=[0.41, 0.40, 0.42])
    write(study, "ce_fasa", FASA)
    top, many, *_ = compare(study, "ce", "ce_fasa", (0, 1, 2))
    assert (top.headroom.row, top.verdict) == ("logit_adjusted", "no headroom")
    assert (many.headroom, many.verdict) == (None, "undecided")  # a single measurement is of the first column alone


def test_what_is_missing_is_trained_and_measured_and_the_rest_is_left(packed, monkeypatch, capsys):
    monkeypatch.chdir(packed.root)
    assert main(["compare", "ce", "ce_remix", "--scale", "tiny", "--seeds", "2", "--json", "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["base"], found["mine"], found["seeds"]) == ("ce", "ce_remix", [0, 1])
    assert [each["label"] for each in found["metrics"]] == ["Top-1", "many", "medium", "few"]
    assert found["metrics"][0]["difference"]["seeds"] == [0, 1]
    assert found["metrics"][0]["headroom"]["row"].startswith("logit_adjusted")
    dates = {path: path.stat().st_mtime_ns for path in packed.root.glob("*/**/metrics.json")}
    assert len(dates) == 4
    packed.metrics_path("ce", 1).unlink()  # trained, not measured
    assert main(["compare", "ce", "ce_remix", "--scale", "tiny", "--seed", "1", "0"]) == 0
    printed = capsys.readouterr().out
    assert "ce_remix less ce at scale tiny, in per cent" in printed and "Paired by seed" in printed
    again = {path: path.stat().st_mtime_ns for path in packed.root.glob("*/**/metrics.json")}
    assert [path for path in dates if again[path] != dates[path]] == [packed.metrics_path("ce", 1)]


def test_runs_that_it_starts_from_come_first(packed, monkeypatch, capsys):
    monkeypatch.chdir(packed.root)
    assert main(["compare", "ldam_m2m", "ldam", "--scale", "tiny", "--seed", "0", "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"][0]["difference"]["low"] is None  # one pair
    assert (packed.work_dir("ce", 0) / "model.pt").exists() and not packed.metrics_path("ce", 0).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ce", "rfs", "--scale", "smoke"], "'ce' is a classifier, 'rfs' a detector; compare two of one kind"),
        (["ce", "ce"], "'ce' is no other recipe than 'ce'; name two"),
        (["ce", "ce_fsa"], "there is no recipe 'ce_fsa'"),
        (["ce", "ce_fasa", "--seeds", "0"], "'0' is no number of seeds"),
    ],
)
def test_mistakes_are_told(study_root, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(study_root)
    assert main(["compare", *arguments]) == 2
    assert words in capsys.readouterr().err
