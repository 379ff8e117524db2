"""A detector from its recipe to its measurements, by the command line, on generated scenes of a few pixels."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fasa.cli import main
from fasa.errors import UserError
from fasa.evaluation import average_precision, load_detections, load_ground_truth
from fasa.study import Run, Study, load_study
from fasa.study.artifacts import Column, Row, Table
from fasa.tasks.detection.inference import write_detections
from fasa.tasks.detection.measured import MEASURED
from fasa.tasks.detection.measurements import score
from fasa.tasks.detection.nms import nms_by_class
from fasa.tasks.detection.session import check_norcal, evaluate
from fasa.tasks.detection.topk_inference import FLOOR
from fasa.tasks.detection.training import trained_detector

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    root = tmp_path_factory.mktemp("smoke")
    (root / "configs").symlink_to(ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:  # by the fixture: workers may share the tests of this file out
        patch.chdir(root)
        assert fasa("data", "mask_rcnn_fasa") == 0
        assert fasa("train", "mask_rcnn_fasa", "--seed", "0") == 0
    return load_study(root, "smoke")


@pytest.fixture(autouse=True)
def in_the_study(study, monkeypatch):
    monkeypatch.chdir(study.root)


def fasa(*arguments: str) -> int:
    return main([*arguments, "--scale", "smoke"])


def truth_path(study: Study) -> str:
    return json.loads(study.data_path("mask_rcnn_fasa").read_text())["val"]["annotations"]


def metrics(study: Study, recipe: str) -> dict:
    return json.loads(study.metrics_path(recipe, 0).read_text())


def test_data_train_evaluate(study):
    assert study.data_path("mask_rcnn_fasa").exists()
    assert study.state("mask_rcnn_fasa", 0) in ("trained", "done")
    assert fasa("evaluate", "mask_rcnn_fasa", "--seed", "0") == 0
    assert study.state("mask_rcnn_fasa", 0) == "done"
    found = metrics(study, "mask_rcnn_fasa")
    assert found["fingerprint"] == study.fingerprint("mask_rcnn_fasa") and found["device_seconds"] > 0
    measured = found["measurements"]
    classes = len(found["class_names"])
    assert set(measured) >= {
        "mask_ap",
        "box_ap",
        "fixed",
        "pool",
        "tide",
        "weight_norms",
        "class_probabilities",
        "class_top1",
    }
    assert len(measured["weight_norms"]) == len(measured["class_probabilities"]) == classes
    epochs = study.recipe("mask_rcnn_fasa").schedule.epochs
    used = np.array(measured["sampling_trajectory"]["probabilities"])
    assert used.shape == (epochs, classes)
    iterations = 24 // 8  # an epoch; in the first one nothing is drawn
    assert np.allclose(measured["virtual_features"], used[1:].sum(0) * iterations, atol=0.006)
    assert measured["fixed_detections"] == "best of each image"  # no table prints Fixed or Pool of this recipe
    detections = study.work_dir("mask_rcnn_fasa", 0) / "detections.npz"
    manifest = json.loads(study.data_path("mask_rcnn_fasa").read_text())
    assert average_precision(manifest["val"]["annotations"], detections) == measured["mask_ap"]


def numbers(measured: dict, path: str = "") -> set[str]:
    """The dotted names of the numbers, nulls among them, in what was measured."""
    found = set()
    for name, value in measured.items():
        if isinstance(value, dict):
            found |= numbers(value, f"{path}{name}.")
        elif value is None or isinstance(value, int | float):
            found.add(path + name)
    return found


def test_a_table_may_ask_for_what_is_measured_and_nothing_else(study, tmp_path):
    assert fasa("train", "mask_rcnn", "--seed", "0") == fasa("evaluate", "mask_rcnn", "--seed", "0") == 0
    found = numbers(metrics(study, "mask_rcnn")["measurements"])  # NorCal among them
    content = json.loads(Path(truth_path(study)).read_text())
    for part, lvis in (("categories", ("frequency",)), ("images", ("neg_category_ids", "not_exhaustive_category_ids"))):
        content[part] = [{key: value for key, value in entry.items() if key not in lvis} for entry in content[part]]
    content["annotations"] = [entry | {"iscrowd": 0} for entry in content["annotations"]]
    (tmp_path / "coco.json").write_text(json.dumps(content))
    truth, detections = load_ground_truth(tmp_path / "coco.json"), study.work_dir("mask_rcnn", 0) / "detections.npz"
    assert truth.kind == "coco"
    found |= numbers(score(truth, detections, None, np.ones(len(truth.category_ids))))
    assert found == set(MEASURED) and len(MEASURED) == len(set(MEASURED))


def test_coco_lt_has_its_bins_on_other_data_too(study):
    assert fasa("train", "coco_lt", "--seed", "0") == fasa("evaluate", "coco_lt", "--seed", "0") == 0
    found = metrics(study, "coco_lt")
    assert found["dataset"] == "glyphs"
    ap = found["measurements"]["per_class_ap"]
    for name, low, high in (("AP_1_20", 1, 20), ("AP_20_400", 20, 400), ("AP_400_8000", 400, 8000)):
        members = [a for a, count in zip(ap, found["class_counts"], strict=True) if low <= count < high]
        known = [a for a in members if a is not None]
        expected = pytest.approx(np.mean(known), abs=1e-6) if known else None
        assert found["measurements"]["mask_ap"][name] == expected
    assert any(count >= 20 for count in found["class_counts"])


def test_cost_and_features_and_examples_are_measured(study):
    assert fasa("evaluate", "mask_rcnn_fasa", "--seed", "0") == 0
    measured = metrics(study, "mask_rcnn_fasa")["measurements"]
    epochs, images = study.recipe("mask_rcnn_fasa").schedule.epochs, 24
    spans = images // 8 - 1  # between the ends of an epoch's iterations; the first epoch does not count
    assert measured["cost"]["iterations"] == (epochs - 1) * spans
    assert measured["cost"]["seconds_per_iteration"] > 0 and measured["cost"]["seconds_per_adaptation"] > 0
    state = torch.load(study.work_dir("mask_rcnn_fasa", 0) / "model.pt", weights_only=True)["state_dict"]
    fasa_state = "roi_head.bbox_head.augmenter.fasa."
    seen = state[f"{fasa_state}observations"] > 0
    features = measured["class_features"]
    assert [row is not None for row in features] == seen.tolist() and seen.any()
    known = [row for row in features if row is not None]
    assert np.abs(np.array(known) - state[f"{fasa_state}mean"][seen].numpy()).max() <= 0.5001e-4
    path = study.metrics_path("mask_rcnn_fasa", 0).with_name("examples.json")
    shown = json.loads(path.read_text())["examples"]
    truth = load_ground_truth(truth_path(study))
    rare = truth.frequencies[np.unique(truth.category)] == "r"
    assert [example["frequency"] for example in shown] == ["r"] * min(6, rare.sum())
    assert all(example["truth"] and example["found"] for example in shown)


def test_fixed_and_pool_of_all_detections_of_each_class(study, tmp_path):
    """A table that prints them makes a run be measured on the best of each class; 10,000 are more than there are."""
    run, truth = Run("mask_rcnn_fasa", 0), load_ground_truth(truth_path(study))
    assert not study.measurements(run.recipe) & {"fixed", "pool"}
    row = Row(id="row", label="row", recipe=run.recipe)
    table = Table(
        name="best", title="x", published_as="x", dataset="", caption="", tolerance=1, rows=(row,),
        columns=(Column(key="pool.APr", label="x"),),
    )  # fmt: skip
    asking = dataclasses.replace(study, tables={**study.tables, "best": table})
    assert asking.measurements(run.recipe) & {"fixed", "pool"} and not asking.measurements("mask_rcnn") & {"fixed"}
    evaluate(asking.job(run), time.monotonic())
    measured = metrics(study, run.recipe)["measurements"]
    assert measured["fixed_detections"] == "best of each class"
    best = load_detections(study.work_dir(*dataclasses.astuple(run)) / "best_of_classes.npz")
    judged = truth.verified[
        np.searchsorted(truth.image_ids, best.image_id), np.searchsorted(truth.category_ids, best.category_id)
    ]
    assert ((best.mask_area >= 0) == judged).all() and 0 < judged.sum() < len(best)
    detector, images, _ = trained_detector(study.job(run))
    detector.roi_head.test_cfg.update(score_thr=FLOOR, max_per_img=-1)
    write_detections(detector, images, tmp_path / "all.npz")
    assert len(best) == len(load_detections(tmp_path / "all.npz")) < 10_000 * len(truth.category_ids)
    for protocol in ("fixed", "pool"):
        assert measured[protocol] == average_precision(truth, tmp_path / "all.npz", protocol=protocol)


def test_controls_from_training_to_their_rows(study):
    recipes = ("mask_rcnn", "mask_rcnn_balanced_softmax")
    assert fasa("train", *recipes, "--seed", "0") == 0
    for recipe in recipes:
        assert fasa("evaluate", recipe, "--seed", "0") == 0
    plain, balanced = (metrics(study, recipe)["measurements"] for recipe in recipes)
    calibrated = plain["norcal"]
    assert "norcal" not in balanced  # no table asks for it
    assert calibrated["candidates"]["box_ap"][0] == plain["box_ap"]["AP"]  # a power of 0 is the detector's own
    assert calibrated["tuned"]["box_ap"]["AP"] == max(calibrated["candidates"]["box_ap"])
    assert not list(study.work_dir("mask_rcnn", 0).glob("*/boxes-*"))
    assert fasa("render", "state_of_the_art") == 0
    cells = pd.read_csv(study.table_paths("state_of_the_art")["csv"]).set_index(["row", "column"])["mean"]
    for row, found in (
        ("mask_rcnn_12_norcal", calibrated["whole"]),
        ("mask_rcnn_12_norcal_tuned", calibrated["tuned"]),
        ("mask_rcnn_12_balanced_softmax", balanced),
    ):
        for key in ("mask_ap", "box_ap"):
            assert cells[row, f"{key}.AP"] == pytest.approx(100 * found[key]["AP"])


def test_norcal_is_refused_without_a_softmax(study):
    rows = tuple(Row(id=name, label="x", recipe=name, measure="norcal.whole.*") for name in ("bags", "coco_lt_simcal"))
    table = Table(
        name="wrong", title="x", published_as="x", dataset="", caption="", rows=rows,
        columns=(Column(key="mask_ap.AP", label="x"),),
    )  # fmt: skip
    asking = dataclasses.replace(study, tables={"wrong": table})
    for row in rows:
        assert asking.measurements(row.recipe) == {"norcal"}
        with pytest.raises(UserError, match=f"asks for NorCal of '{row.recipe}', whose scores are no softmax"):
            check_norcal(asking.job(Run(row.recipe, 0)))
    check_norcal(study.job(Run("mask_rcnn", 0)))
    check_norcal(study.job(Run("bags", 0)))  # nobody asks


def test_suppression_class_by_class_changes_nothing(study):
    detector, images, _ = trained_detector(study.job(Run("mask_rcnn_fasa", 0)))
    settings = dict(detector.roi_head.test_cfg.nms)
    with torch.no_grad():
        for batch in images:
            whole = detector.eval().test_step(batch)
            with nms_by_class(detector):
                assert callable(detector.roi_head.test_cfg.nms["type"])  # ours is what suppresses
                split = detector.test_step(batch)
            for a, b in zip(whole, split, strict=True):
                assert len(a.pred_instances) == 50  # the limit of an image
                for key in ("scores", "labels", "bboxes", "masks"):
                    assert torch.equal(a.pred_instances[key], b.pred_instances[key]), key
    assert dict(detector.roi_head.test_cfg.nms) == settings


def test_the_official_tools_agree(capsys):
    assert fasa("evaluate", "mask_rcnn_fasa", "--seed", "0", "--verify") == 0
    told = capsys.readouterr().out.splitlines()[-1].split()
    assert told[3] == told[5] and int(told[3]) > 30, told


def test_a_finished_training_is_not_trained_again(study):
    before = (study.work_dir("mask_rcnn_fasa", 0) / "model.pt").read_bytes()
    assert fasa("train", "mask_rcnn_fasa", "--seed", "0") == 0
    assert (study.work_dir("mask_rcnn_fasa", 0) / "model.pt").read_bytes() == before


def test_a_second_stage_needs_its_first(study, capsys):
    shutil.rmtree(study.work_dir("mask_rcnn", 0), ignore_errors=True)  # another test may have trained it
    assert fasa("train", "bags_fasa", "--seed", "0") == 2
    assert "model.pt is missing; train that run: what is done" in capsys.readouterr().err
    assert study.state("bags_fasa", 0) == "failed"
    assert fasa("train", "mask_rcnn", "bags_fasa", "--seed", "0") == 0
    assert fasa("evaluate", "bags_fasa", "--seed", "0") == 0
    assert metrics(study, "bags_fasa")["measurements"]["mask_ap"]["AP"] is not None
    assert study.with_needed((Run("bags_fasa", 0),))[0] == Run("mask_rcnn", 0)


def test_a_checkpoint_of_another_recipe_is_refused(study, capsys):
    assert fasa("train", "mask_rcnn", "--seed", "0") == 0
    folder = study.checkpoint_dir("mask_rcnn", 0)
    newest = Path((folder / "last_checkpoint").read_text())
    state = torch.load(newest, weights_only=False)
    state["fasa"]["fingerprint"] = "another"
    torch.save(state, newest)
    assert fasa("train", "mask_rcnn", "--seed", "0") == 2
    assert "another version of its recipe" in capsys.readouterr().err


def test_official_data_must_be_named(study, capsys):
    (study.root / "configs").exists()
    assert main(["data", "mask_rcnn", "--scale", "paper"]) == 2
    assert "--source FOLDER" in capsys.readouterr().err
