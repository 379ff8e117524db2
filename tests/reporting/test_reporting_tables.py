"""Cells, LaTeX, Markdown and CSV of a table with whole, incomplete and empty rows."""

import csv
import re
from dataclasses import replace

import pytest

from fasa.errors import UserError
from fasa.reporting import csv_tables, markdown, render_table
from fasa.reporting.cells import explain_missing, lookup, measure_table
from fasa.reporting.layout import lay_out

BASE = {("ldam", 0): 0.420, ("ldam", 1): 0.421, ("ldam", 2): 0.419}
FASA = {("ldam_fasa", 0): 0.437, ("ldam_fasa", 1): 0.439, ("ldam_fasa", 2): 0.438}


def laid_out(study):
    return lay_out(measure_table(study, study.tables["cifar_lt"]))


def cells_of(study):
    return measure_table(study, study.tables["cifar_lt"]).cells


def records(study):
    """The lines of the CSV file by row, as they are written."""
    text = csv_tables.render(measure_table(study, study.tables["cifar_lt"]))
    return {line["row"]: line for line in csv.DictReader(text.splitlines())}


def printed(study):
    """{row label: {column: (text, footnote letter)}} of the first block."""
    block = laid_out(study).blocks[0]
    return {
        row.label: dict(zip(block.columns, [(cell.text, cell.mark) for cell in row.lines[0].cells], strict=True))
        for row in block.rows
    }


def test_cells_stand_beside_the_published_ones(fake_study):
    rows = printed(fake_study(BASE | FASA))
    assert rows["LDAM"]["published"] == ("42.0 ± 0.09", "")
    assert rows["LDAM"]["reproduced"] == ("42.00 ± 0.10", "")
    assert rows["LDAM"]["n"] == ("3", "")
    assert rows["LDAM"]["verdict"] == ("—", "")  # levels are not comparable at this scale
    fasa = rows["LDAM + FASA"]
    assert fasa["Δ published"] == ("+1.7", "")
    # differences 1.7, 1.8, 1.9: mean 1.8, std 0.1, half width 4.30265 * 0.1 / sqrt(3) = 0.248
    assert fasa["Δ ours [95 % CI]"] == ("+1.80 [+1.55, +2.05]", "")
    assert fasa["verdict"] == ("confirmed", "")


def test_a_row_without_runs_prints_dashes_and_says_why(fake_study):
    study = fake_study(BASE | FASA)
    row = printed(study)["LDAM + M2m"]
    assert row["published"] == ("43.5 ± 0.22", "")
    assert row["reproduced"] == ("—", "a")
    assert {row[name][0] for name in ("n", "Δ ours [95 % CI]", "verdict")} == {"—"}
    assert laid_out(study).notes == (("a", "seeds 0, 1, 2: not run"),)


def test_without_any_run_nothing_is_reproduced(fake_study):
    study = fake_study({})
    rows = printed(study)
    assert {row["reproduced"][0] for row in rows.values()} == {"—"}
    assert {row["Δ ours [95 % CI]"][0] for row in rows.values()} == {"—"}
    assert {line["n"] for line in records(study).values()} == {"0"}
    assert {line["mean"] for line in records(study).values()} == {""}
    assert any("nothing is reproduced" in remark for remark in laid_out(study).remarks)


def test_an_incomplete_row_prints_its_n_with_a_footnote(fake_study):
    accuracies = BASE | FASA
    del accuracies["ldam_fasa", 1]
    study = fake_study(accuracies)
    row = printed(study)["LDAM + FASA"]
    assert row["n"] == ("2", "b")
    assert ("b", "seed 1: not run") in laid_out(study).notes


def test_pairs_fewer_than_seeds_get_a_footnote(fake_study):
    accuracies = BASE | FASA
    del accuracies["ldam", 1]
    study = fake_study(accuracies)
    text, mark = printed(study)["LDAM + FASA"]["Δ ours [95 % CI]"]
    assert text.startswith("+1.80 [")  # (1.7 + 1.9) / 2
    assert dict(laid_out(study).notes)[mark].startswith("over the 2 of 3 seeds")


def test_a_missing_measurement_is_a_missing_cell(fake_study):
    study = fake_study(BASE)
    study.runs_by_key["ldam", 0]["measurements"]["accuracy"]["last"] = None
    cell = cells_of(study)["ldam", "accuracy.last"]
    assert cell.ours.seeds == (1, 2)
    assert cell.missing == "seed 0: the run has no such measurement"


def test_controls_have_their_own_measurement_and_no_verdict(fake_study):
    row = printed(fake_study(BASE))["LDAM + τ"]
    assert row["reproduced"][0] == "43.00 ± 0.10"  # logit_adjusted of the same runs
    assert row["Δ ours [95 % CI]"][0] == "+1.00 [+1.00, +1.00]"
    assert row["published"][0] == row["verdict"][0] == "—"


def test_a_rows_own_measurement_is_not_shown_under_another_heading(fake_study, invented):
    columns = (invented.column(), invented.column("accuracy.best", "Best epoch"))
    study = fake_study(BASE, table=invented.table(columns=columns))
    cells = cells_of(study)
    assert cells["ldam", "accuracy.best"].ours.mean == pytest.approx(42.4)
    assert cells["tuned", "accuracy.last"].ours.n == 3
    assert cells["tuned", "accuracy.best"].ours.n == 0
    assert "first column" in cells["tuned", "accuracy.best"].missing


def test_a_row_may_read_every_column_from_a_part_of_the_measurements(fake_study, invented):
    columns = (invented.column(), invented.column("accuracy.best", "Best epoch"))
    row = invented.row("parted", "ldam", baseline="ldam", control=True, measure="norcal.tuned.*")
    study = fake_study(BASE, table=invented.table(columns=columns, rows=(*invented.table().rows, row)))
    for seed in range(3):
        study.runs_by_key["ldam", seed]["measurements"]["norcal"] = {"tuned": {"accuracy": {"last": 0.5, "best": 0.75}}}
    cells = cells_of(study)
    assert [cells["parted", key].ours.mean for key in ("accuracy.last", "accuracy.best")] == [50, 75]
    assert cells["parted", "accuracy.best"].measure == "norcal.tuned.accuracy.best"
    assert cells["parted", "accuracy.best"].difference.mean == pytest.approx(75 - 42.4)
    del study.runs_by_key["ldam", 1]["measurements"]["norcal"]
    cell = cells_of(study)["parted", "accuracy.last"]
    assert cell.ours.seeds == (0, 2)
    assert cell.missing == "seed 1: measured before a row asked for this; fasa evaluate measures it anew"


def test_levels_are_compared_only_where_they_are_comparable(fake_study):
    assert printed(fake_study(BASE, comparable=True))["LDAM"]["verdict"][0] == "within 1.0"
    far = {key: value - 0.05 for key, value in BASE.items()}
    assert printed(fake_study(far, comparable=True))["LDAM"]["verdict"][0] == "off by -5.00"


def test_remarks_name_scale_data_and_what_is_not_comparable(fake_study):
    study = fake_study(BASE)
    remarks = " ".join(laid_out(study).remarks)
    assert "Scale mini" in remarks
    assert "Published on cifar100_lt; reproduced on digits_lt." in remarks
    assert "not comparable" in remarks
    assert "LDAM for LDAM + M2m · LDAM + FASA · LDAM + τ." in remarks
    comparable = fake_study(BASE, comparable=True)
    assert "not comparable" not in " ".join(laid_out(comparable).remarks)


def test_a_caption_of_other_data_says_on_which_it_was_measured(fake_study, invented):
    captioned = invented.table().model_copy(update={"caption": "Top-1 accuracy on CIFAR-100-LT."})
    caption = laid_out(fake_study(BASE, table=captioned)).caption
    assert caption == "Top-1 accuracy on CIFAR-100-LT. Reproduced on digits_lt, scale mini."
    of_digits = captioned.model_copy(update={"dataset": "digits_lt"})
    assert laid_out(fake_study(BASE, table=of_digits)).caption == "Top-1 accuracy on CIFAR-100-LT."


def test_remarks_of_a_table_without_published_figures_judge_nothing(fake_study, invented):
    rows = tuple(invented.row(f"r{k}", "ldam", baseline="r0" if k else None, group="g" * (k > 4)) for k in range(9))
    study = fake_study(BASE, table=invented.table(rows=rows))
    remarks = " ".join(laid_out(study).remarks)
    assert "The recipes are of cifar100_lt; run on digits_lt." in remarks
    assert "Baselines: r0 for every other row." in remarks
    assert "Verdict" not in remarks and "ublished" not in remarks
    few = fake_study(BASE, table=invented.table(rows=rows[:2] + rows[-2:]))
    assert "Baselines: r0 for r1 · r7 (g) · r8 (g)." in " ".join(laid_out(few).remarks)


def test_lookup_follows_dots_and_refuses_what_is_no_number():
    assert lookup({"a": {"b": 0.5}}, "a.b") == 0.5
    assert lookup({"a": {"b": None}}, "a.b") is None
    assert lookup({"a": 1.0}, "a.b") is None
    assert lookup({"a": float("nan")}, "a") is None


def test_reasons_that_differ_only_in_their_seed_are_told_once():
    reasons = ((0, "see seed-0"), (1, "see seed-1"), (2, "failed: no disk"))
    assert explain_missing(reasons) == "seeds 0, 1: see seed-0; seed 2: failed: no disk"


def test_csv_keeps_raw_numbers_and_seeds(fake_study):
    study = fake_study(BASE | FASA)
    paths = {path.suffix: path for path in render_table(study, "cifar_lt")}
    lines = {line["row"]: line for line in csv.DictReader(paths[".csv"].read_text().splitlines())}
    assert len(lines) == 4
    fasa = lines["ldam_fasa"]
    assert float(fasa["mean"]) == pytest.approx(43.8, abs=1e-12)
    assert fasa["seeds"] == "0 1 2"
    assert [float(value) for value in fasa["values"].split()] == [0.437 * 100, 0.439 * 100, 0.438 * 100]
    assert fasa["pairs"] == "3"
    assert fasa["dataset"] == "digits_lt"
    assert lines["ldam_m2m"]["n"] == "0"
    assert lines["ldam_m2m"]["missing"] == "seeds 0, 1, 2: not run"


def test_no_name_in_the_csv_is_a_formula(fake_study):
    study = fake_study(BASE | FASA)
    measured = measure_table(study, study.tables["cifar_lt"])
    rows = [row.model_copy(update={"label": "=HYPERLINK(1)", "group": "@x"}) for row in measured.table.rows]
    cells = {
        place: replace(cell, row=row.model_copy(update={"label": "=HYPERLINK(1)", "group": "@x"}))
        for (place, cell), row in zip(measured.cells.items(), rows, strict=True)
    }
    for line in csv.DictReader(csv_tables.render(replace(measured, cells=cells)).splitlines()):
        assert (line["label"], line["group"]) == ("'=HYPERLINK(1)", "'@x")
        assert not line["difference"].startswith("'")  # a number may be negative


def test_each_run_is_read_once_for_all_cells_and_files(fake_study, monkeypatch):
    study = fake_study(BASE | FASA)
    read, load = [], study.load_metrics
    monkeypatch.setattr(study, "load_metrics", lambda *run: read.append(run) or load(*run))
    render_table(study, "cifar_lt")
    assert sorted(read) == [(recipe, seed) for recipe in ("ldam", "ldam_fasa", "ldam_m2m") for seed in (0, 1, 2)]


def test_the_same_runs_give_the_same_bytes(fake_study):
    study = fake_study(BASE | FASA)
    first = [path.read_bytes() for path in render_table(study, "cifar_lt")]
    for metrics in study.runs_by_key.values():
        metrics["device_seconds"] = 99.0  # a timing is no part of a table
    assert [path.read_bytes() for path in render_table(study, "cifar_lt")] == first


def test_an_unknown_table_is_the_users_mistake(fake_study):
    with pytest.raises(UserError, match="there is no table 'nope'"):
        render_table(fake_study({}), "nope")


def test_markdown_is_a_well_formed_table(fake_study):
    study = fake_study(BASE | FASA)
    text = markdown.render(laid_out(study))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4 + 1  # heading and rule, rows, the line of the controls
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}
    assert "&lt;it&gt;" in text and "<it>" not in text
    assert rows.index(next(row for row in rows if "controls" in row)) == 5
    assert "—<sup>a</sup>" in text and "<sup>a</sup> seeds 0, 1, 2: not run" in text


def test_means_are_read_back_from_csv_to_the_last_bit(fake_study):
    study = fake_study(BASE | FASA)
    for (row, _), cell in cells_of(study).items():
        assert records(study)[row]["mean"] == ("" if cell.ours.mean is None else repr(cell.ours.mean))
