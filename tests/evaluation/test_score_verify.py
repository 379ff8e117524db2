"""``--verify``: the official tools beside ours, on the same files."""

from __future__ import annotations

import dataclasses
import gzip
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from evaluation_toys import disc_problem

from fasa.evaluation import DetectionWriter, load_detections, load_ground_truth, save_detections
from fasa.evaluation.score import verification
from fasa.evaluation.score.verification import verify

for tool in ("lvis", "tidecv"):
    pytest.importorskip(tool)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_lvis_is_equal_to_lvis_api_and_tidecv(write, iou_type, seed):
    annotations, detections = disc_problem("lvis", seed)
    files = write("lvis.json", annotations), write("detections.json", detections)
    compared = verify(*files, iou_type, ("standard", "fixed", "pool"), True)
    assert all(c.equal for c in compared), [c for c in compared if not c.equal]
    assert {c.tool for c in compared} == {"lvis 0.5.3", "lvis 0.5.3's matches, pooled", "tidecv 1.0.1"}
    assert {"standard APr", "fixed AR", "pool APf", "TIDE cls", "TIDE miss count"} <= {c.metric for c in compared}
    assert sum("widest gap" in c.metric for c in compared) == 4


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_coco_is_equal_to_pycocotools_and_tidecv(coco, iou_type):
    counts = np.array([5, 30, 0, 500, 9000, 10_000])
    compared = verify(*map(Path, coco), iou_type, ("standard",), True, instance_counts=counts)
    assert all(c.equal for c in compared), [c for c in compared if not c.equal]
    assert {"standard AP_1_20", "standard AR10"} <= {c.metric for c in compared}


def test_areas_of_boxes_are_lvis_apis_own(lvis):
    assert all(c.equal for c in verify(*map(Path, lvis), areas="box"))


def test_the_command_prints_both_columns(lvis, score):
    status, text, error = score(*lvis, "--protocol", "standard", "pool", "--tide", "--verify")
    assert (status, error) == (0, "")
    assert "lvis 0.5.3: all 15 figures agree; the largest difference is 0" in text
    assert "tidecv 1.0.1: all 26 figures agree" in text
    row = next(line.split() for line in text.splitlines() if line.strip().startswith("standard APr"))
    assert row[2] == row[3] and row[4] == "0"


def test_json_stays_json(lvis, score):
    status, text, error = score(*lvis, "--verify", "--tide", "--json")
    told = json.loads(text)
    assert (status, error) == (0, "")
    assert all(c["equal"] for c in told["files"][0]["verification"])
    assert told["versions"]["lvis"] == "0.5.3" and told["versions"]["tidecv"] == "1.0.1"


def test_a_wrong_figure_is_caught(lvis, score, monkeypatch):
    from fasa.evaluation.score import scores

    evaluate = scores.evaluate

    def wrong(*arguments):
        right = evaluate(*arguments)
        return dataclasses.replace(right, summary={**right.summary, "APr": right.summary["APr"] + 1e-16, "APc": 0.0})

    monkeypatch.setattr(scores, "evaluate", wrong)
    status, text, error = score(*lvis, "--verify")
    assert status == 1 and "lvis 0.5.3: 2 of 15 figures differ; the largest difference is inf (standard APc)" in text
    assert error == "fasa: 2 figures differ from the official tools'.\n"
    assert score(*lvis, "--verify", "--json")[0] == 1


def test_packed_files_are_unpacked_for_the_tools(lvis, tmp_path):
    save_detections(load_detections(lvis[1]), tmp_path / "detections.npz")
    with gzip.open(tmp_path / "lvis.json.gz", "wb") as packed:
        packed.write(Path(lvis[0]).read_bytes())
    compared = verify(tmp_path / "lvis.json.gz", tmp_path / "detections.npz", tide=True)
    assert compared and all(c.equal for c in compared)


def test_masks_that_were_not_kept_do_not_matter(lvis, tmp_path):
    every = load_detections(lvis[1])
    listed = json.loads(Path(lvis[1]).read_text())
    with DetectionWriter(tmp_path / "judged.npz", load_ground_truth(lvis[0]), policy="verified") as writer:
        for d in listed:
            writer.add(d["image_id"], [d["category_id"]], [d["score"]], masks=[d["segmentation"]])
    kept = load_detections(tmp_path / "judged.npz")
    assert len(kept) == len(every) and (kept.mask_area < 0).any()
    assert all(c.equal for c in verify(lvis[0], tmp_path / "judged.npz", protocols=("standard", "fixed", "pool")))


def test_boxes_of_masks_are_the_tools_own(write):
    annotations, detections = disc_problem("lvis")
    for detection in detections:
        del detection["bbox"]
    compared = verify(write("lvis.json", annotations), write("masks.json", detections), "bbox", tide=True)
    assert all(c.equal for c in compared)


def test_objects_without_area_are_left_out_of_tidecv_too(write):
    annotations, detections = disc_problem("lvis")
    annotations["annotations"][3]["area"] = 0
    compared = verify(write("lvis.json", annotations), write("detections.json", detections), tide=True)
    assert all(c.equal for c in compared)


def test_the_tools_leave_no_trace(lvis):
    before = logging.getLogger().handlers[:], logging.getLogger("lvis").level
    verify(*map(Path, lvis), tide=True)
    assert not hasattr(np, "float")
    assert (logging.getLogger().handlers[:], logging.getLogger("lvis").level) == before


def test_no_detections_is_a_sentence(lvis, write, score):
    status, _, error = score(lvis[0], write("none.json", []), "--verify")
    assert status == 2 and "none.json holds no detections" in error


def test_annotations_that_are_not_json_are_refused_at_once(lvis, score, tmp_path, monkeypatch):
    from fasa.evaluation import save_ground_truth

    save_ground_truth(load_ground_truth(lvis[0]), tmp_path / "lvis.npz")
    monkeypatch.setattr("fasa.evaluation.score.scores.overlaps", lambda *a, **k: pytest.fail("scored"))
    status, _, error = score(tmp_path / "lvis.npz", lvis[1], "--verify")
    assert status == 2 and "lvis.npz is not JSON" in error


def test_a_missing_tool_is_a_sentence(lvis, score, monkeypatch):
    monkeypatch.setattr(verification.importlib.util, "find_spec", lambda name: None)
    status, _, error = score(*lvis, "--verify")
    assert status == 2 and "pip install 'fasa[verify]'" in error


def test_a_tool_that_fails_is_a_sentence(lvis, score, monkeypatch):
    def fail(*_):
        raise ValueError("unusual")

    monkeypatch.setattr("fasa.evaluation.score.official.lvis_api", fail)
    status, _, error = score(*lvis, "--verify")
    assert status == 2 and "an official tool failed (ValueError: unusual)" in error


@pytest.mark.parametrize("broken, works", [("tidecv", "lvis 0.5.3"), ("lvis_api", "tidecv 1.0.1")])
def test_what_works_is_shown_though_a_tool_fails(lvis, score, monkeypatch, tmp_path, broken, works):
    def fail(*_):
        raise ValueError("unusual")

    expected = score(*lvis, "--tide")[1]
    monkeypatch.setattr(f"fasa.evaluation.score.official.{broken}", fail)
    status, text, error = score(*lvis, "--tide", "--verify", "--json", tmp_path / "scores.json")
    assert status == 2 and "an official tool failed (ValueError: unusual)" in error
    assert text.startswith(expected) and f"{works}: all" in text
    told = json.loads((tmp_path / "scores.json").read_text())["files"][0]
    assert {c["tool"] for c in told["verification"]} == {works} and told["verification_failed"] in error


def test_much_memory_is_told_beforehand():
    large, small = (SimpleNamespace(kind="lvis", image_ids=range(n)) for n in (19_809, 100))
    assert "lvis about 26 GB and tidecv about 20 GB" in verification.memory_warning(large, True)
    assert verification.memory_warning(small, True) is None
