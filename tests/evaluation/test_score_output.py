"""``fasa score`` from files to table, JSON and CSV."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation_toys import disc_problem

from fasa.evaluation import (
    average_precision,
    load_detections,
    localisation_recall_precision,
    save_detections,
    tide_errors,
)

PROTOCOLS = ("standard", "fixed", "pool")


def figures(text: str, metric: str) -> list[list[str]]:
    """The cells of a metric's rows."""
    rows = re.findall(rf"^ {metric}  +(\S.*)$", text, re.MULTILINE)
    return [re.split(r"\s{2,}", row.strip()) for row in rows]


def test_the_table_has_the_doors_figures_in_points(lvis, score):
    status, text, error = score(*lvis)
    expected = average_precision(*lvis)
    assert status == 0 and error == ""
    for metric in ("AP", "AP50", "APr", "APf", "ARs"):
        assert figures(text, metric) == [[f"{100 * expected[metric]:.2f}"]]
    assert "lvis.json (LVIS): 12 images, 6 classes" in text and "detections.json" in text
    assert "\x1b" not in text and not re.search(" $", text, re.MULTILINE)


def test_a_group_without_objects_is_a_dash_that_is_explained(lvis, score):
    text = score(*lvis)[1]
    assert figures(text, "APc") == [["—"]]
    assert "— (APc): no object of these annotations counts for it." in text
    assert "Classes with objects: 2 of 2 rare (r), 0 of 1 common (c), 3 of 3 frequent (f)." in text


def test_protocols_and_tide_from_one_reading(lvis, score, monkeypatch):
    from fasa.evaluation.score import scores

    calls = []
    overlaps = scores.overlaps
    monkeypatch.setattr(scores, "overlaps", lambda *a, **k: calls.append(k["all_classes"]) or overlaps(*a, **k))
    text = score(*lvis, "--protocol", *PROTOCOLS, "--tide")[1]
    assert calls == [True]
    assert [len(figures(text, metric)) for metric in ("AP", "AP50", "APr")] == [3, 3, 3]  # AP50: two tables and TIDE's
    assert "AP-Fixed and AP-Pool rank 10,000 detections of each class. Classes that have fewer: 5 in" in text
    for name, points in tide_errors(*lvis).items():
        assert figures(text, name.capitalize())[0][0] == f"{points:.2f}"
    assert figures(text, "classes averaged") == [["6", "5"]]
    assert "tidecv averages over every class" in text


def test_two_files_have_a_difference(write, lvis, score):
    other = write("better/detections.json", disc_problem("lvis")[1][:30])
    status, text, _ = score(*lvis, other, "--tide")
    first, second = average_precision(*lvis)["AP"], average_precision(lvis[0], other)["AP"]
    assert status == 0
    assert figures(text, "AP") == [[f"{100 * first:.2f}", f"{100 * second:.2f}", f"{100 * (second - first):+.2f}"]]
    assert "better/detections.json: 30 detections" in text and "Differences are from" in text
    assert [row[2] for row in figures(text, "classes averaged")] == ["-1", "0"]
    assert "number of errors" in text


def test_bootstrap_intervals_stand_beside_the_figures(write, lvis, score):
    other = write("other.json", disc_problem("lvis")[1][:30])
    arguments = (*lvis, other, "--bootstrap", 50)
    text = score(*arguments)[1]
    (cells,) = figures(text, "AP")
    assert all(re.fullmatch(r"[+-]?\d+\.\d\d \[[+-]?\d+\.\d\d, [+-]?\d+\.\d\d\]", cell) for cell in cells), cells
    assert "95 % intervals from 50 resamplings of the images (seed 0)" in text
    assert score(*arguments)[1] == text
    told = json.loads(score(*arguments, "--json")[1])
    low, high = told["files"][1]["protocols"]["standard"]["difference_from_first"]["intervals"]["AP"]
    assert f"[{100 * low:+.2f}, {100 * high:+.2f}]" in text
    assert told["bootstrap"] == {"samples": 50, "seed": 0, "level": 0.95}


def test_a_figure_without_an_interval_is_explained(lvis, coco, write, score):
    text = score(*lvis, "--bootstrap", 200)[1]
    assert figures(text, "APc") == [["—"]] and "[" in figures(text, "AP")[0][0]
    text = score(*coco, "--bootstrap", 5, "--instance-counts", coco[0])[1]
    assert "[" not in figures(text, "AP_1_20")[0][0] and "COCO-LT's bins have no intervals." in text


def test_json_alone_is_the_whole_output(lvis, score):
    status, text, error = score(*lvis, "--protocol", *PROTOCOLS, "--tide", "--json")
    told = json.loads(text, parse_constant=lambda word: pytest.fail(word))
    (file,) = told["files"]
    assert status == 0 and error == ""
    for protocol in PROTOCOLS:
        assert file["protocols"][protocol]["figures"] == average_precision(*lvis, protocol=protocol)
    assert file["protocols"]["standard"]["figures"]["APc"] is None
    assert file["protocols"]["standard"]["per_class"]["AP"][2] is None
    assert told["protocols"]["standard"]["detections_per_image"] == 300
    assert told["protocols"]["fixed"]["detections_per_class"] == 10_000
    assert {k: file["tide"]["tidecv"][k] for k in ("cls", "miss")}.items() <= tide_errors(*lvis).items()
    assert {"fasa", "numpy", "numba", "pycocotools"} == set(told["versions"])
    assert len(told["annotations"]["sha256"]) == len(file["sha256"]) == 64
    assert set(file["seconds"]) == {"read", *PROTOCOLS, "tide"}


def test_json_to_a_file_leaves_the_table(lvis, score, tmp_path):
    text = score(*lvis, "--json", tmp_path / "new/scores.json")[1]
    told = json.loads((tmp_path / "new/scores.json").read_text())
    assert figures(text, "AP") == [[f"{100 * told['files'][0]['protocols']['standard']['figures']['AP']:.2f}"]]


def test_figures_of_every_class_as_csv(lvis, score, tmp_path):
    score(*lvis, lvis[1], "--protocol", "pool", "fixed", "--per-class", tmp_path / "classes.csv")
    rows = list(csv.DictReader((tmp_path / "classes.csv").open()))
    assert len(rows) == 12 and {row["file"] for row in rows} == {"detections.json (1)", "detections.json (2)"}
    assert list(rows[0]) == [
        "file", "protocol", "category_id", "name", "frequency", "truths", "detections", "AP", "AP50", "AP75", "AR"
    ]  # fmt: skip
    assert rows[2]["frequency"] == "c" and rows[2]["truths"] == "0" and rows[2]["AP"] == ""
    expected = average_precision(*lvis, protocol="fixed")
    assert np.mean([float(row["AP"]) for row in rows[:6] if row["AP"]]) == pytest.approx(expected["AP"])
    assert {row["protocol"] for row in rows} == {"fixed"}


def test_no_class_is_a_formula_in_a_csv(lvis, score, tmp_path):
    path = Path(lvis[0])
    annotations = json.loads(path.read_text())
    annotations["categories"][0]["name"] = "=HYPERLINK(1)"
    path.write_text(json.dumps(annotations))
    score(*lvis, "--per-class", tmp_path / "classes.csv")
    (row,) = [row for row in csv.DictReader((tmp_path / "classes.csv").open()) if row["category_id"] == "1"]
    assert row["name"] == "'=HYPERLINK(1)"


def test_coco_and_the_bins_of_coco_lt(coco, write, score):
    counts = write("counts.json", {str(k + 1): n for k, n in enumerate((5, 19, 20, 400, 7999, 8000))})
    status, text, _ = score(*coco, "--instance-counts", counts, "--iou-type", "bbox")
    expected = average_precision(*coco, iou_type="bbox")
    assert status == 0 and "Classes with objects: 5 of 6." in text
    assert figures(text, "AR10") == [[f"{100 * expected['AR10']:.2f}"]]
    assert [len(figures(text, metric)) for metric in ("AP_1_20", "AP_20_400", "AP_400_8000", "AP_8000")] == [1] * 4
    assert figures(text, "AP_20_400") == [["—"]]


@pytest.mark.parametrize("files", ["lvis", "coco"])
def test_boundary_ap(files, score, request):
    paths = request.getfixturevalue(files)
    status, text, _ = score(*paths, "--iou-type", "boundary")
    expected = average_precision(*paths, iou_type="boundary")
    assert status == 0 and "Masks and their boundaries are compared." in text
    assert figures(text, "AP") == [[f"{100 * expected['AP']:.2f}"]] != figures(score(*paths)[1], "AP")
    for option in ("--tide", "--verify"):
        status, _, error = score(*paths, "--iou-type", "boundary", option)
        assert status == 2 and f"{option} knows masks and boxes only" in error
    status, _, error = score(*paths, "--lrp", "--verify")
    assert status == 2 and "no official tool prints LRP" in error


def test_lrp_beside_ap_and_by_class(lvis, score, tmp_path):
    expected = localisation_recall_precision(*lvis)
    written = ("--json", tmp_path / "all.json", "--per-class", tmp_path / "classes.csv")
    status, text, error = score(*lvis, lvis[1], "--protocol", *PROTOCOLS, "--lrp", *written)
    assert status == 0 and error == ""
    for name, value in expected.items():
        shown = "—" if value is None else f"{100 * value:.2f}"
        rows = figures(text, name)
        assert len(rows) == 2 and rows[0][:2] == [shown, shown], name  # of standard and fixed; a pool has no classes
    assert figures(text, "oLRPc") == [["—", "—", "—"]] * 2
    (file, _) = json.loads((tmp_path / "all.json").read_text())["files"]
    assert file["protocols"]["standard"]["lrp"] == {"unit": "fraction", "figures": expected}
    assert "lrp" not in file["protocols"]["pool"]
    rows = list(csv.DictReader((tmp_path / "classes.csv").open()))[:6]
    assert [*rows[0]][-5:] == ["oLRP", "oLRP_loc", "oLRP_fp", "oLRP_fn", "oLRP_score"]
    assert np.mean([float(row["oLRP"]) for row in rows if row["oLRP"]]) == pytest.approx(expected["oLRP"])
    assert file["protocols"]["standard"]["per_class"]["oLRP"][2] is None and rows[2]["oLRP"] == ""
    scores = [entry["score"] for entry in json.loads(Path(lvis[1]).read_text())]
    assert {float(row["oLRP_score"]) for row in rows if row["oLRP_score"]} <= set(scores)
    status, _, error = score(*lvis, "--protocol", "pool", "--lrp")
    assert status == 2 and "AP-Pool has no figures by class, so --lrp needs the protocol" in error


def test_packed_files_give_the_same(lvis, score, tmp_path):
    plain = score(*lvis, "--tide")[1]
    (tmp_path / "packed").mkdir()
    save_detections(load_detections(lvis[1]), tmp_path / "packed/detections.npz")
    with open(lvis[0], "rb") as text, gzip.open(tmp_path / "packed/lvis.json.gz", "wb") as packed:
        packed.write(text.read())
    again = score(tmp_path / "packed/lvis.json.gz", tmp_path / "packed/detections.npz", "--tide")[1]
    for metric in ("AP", "APf", "ARm", "Cls", "classes averaged"):
        assert figures(again, metric) == figures(plain, metric) != []


def test_areas_of_boxes_change_only_the_sizes(lvis, score):
    told = [json.loads(score(*lvis, "--areas", areas, "--json")[1])["files"][0] for areas in ("mask", "box")]
    mask, box = (file["protocols"]["standard"]["figures"] for file in told)
    assert mask["AP"] == box["AP"] and mask["APr"] == box["APr"]
    assert mask != box


def test_a_reader_that_leaves_and_an_output_without_dashes_are_no_crash(lvis):
    command = [sys.executable, "-m", "fasa", "score", *lvis]
    gone = subprocess.run(f"{' '.join(command)} | true; echo ${{PIPESTATUS[0]}}", shell=True, executable="/bin/bash",
                          capture_output=True, text=True)  # fmt: skip
    assert (gone.stdout, gone.stderr) == ("0\n", "")
    ascii_only = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin"})
    assert ascii_only.returncode == 0 and b"? (APc)" in ascii_only.stdout


DATA = Path(os.environ.get("FASA_TEST_DATA", "nowhere")) / "coco_eval"

# What COCO's own demonstration prints for these files (cocoapi, PythonAPI/pycocoEvalDemo.ipynb).
PRINTED = {
    "bbox": "0.505 0.697 0.573 0.586 0.519 0.501 0.387 0.594 0.595 0.640 0.566 0.564",
    "segm": "0.320 0.562 0.299 0.387 0.310 0.327 0.268 0.415 0.417 0.469 0.377 0.381",
}


@pytest.mark.skipif(not DATA.is_dir(), reason="FASA_TEST_DATA names no folder with coco_eval/ in it")
@pytest.mark.parametrize("iou_type", PRINTED)
def test_cocos_own_demonstration(iou_type, score, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = DATA / "instances_val2014_100.json", DATA / f"instances_val2014_fake{iou_type}100_results.json"
    status, text, _ = score(*files, "--iou-type", iou_type, "--json", "--verify")
    printed = json.loads(text)["files"][0]["protocols"]["standard"]["figures"]
    assert status == 0
    assert " ".join(f"{value:.3f}" for value in printed.values()) == PRINTED[iou_type]
