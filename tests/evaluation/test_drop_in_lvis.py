"""``LVISEval`` under lvis-api's names: results, tables and printed lines equal to lvis-api's, with ``==``."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boundary_oracle import in_official_tools
from cases import lvis_problem, seeds
from evaluation_toys import disc_problem, refused
from official_lvis import lvis_api
from oracles import best_of_classes

import fasa.evaluation
from fasa.evaluation import LVIS, LVISEval, LVISResults, average_precision, save_detections, subset
from fasa.evaluation.drop_in.inputs import EmptyResults

Json = dict[str, Any]
Change = Callable[[Any, Json], None]

SEEDS = seeds(40)


def official(annotations: Path, results: Any, iou_type: str, max_dets: int, change: Change | None = None) -> Any:
    """lvis-api's evaluation, run on a copy of the results."""
    with lvis_api() as lvis:
        truth = lvis.LVIS(str(annotations))
        evaluation = lvis.LVISEval(truth, lvis.LVISResults(truth, copy.deepcopy(results), max_dets), iou_type)
        if change:
            change(evaluation.params, truth.dataset)
        evaluation.run()
    return evaluation


def assert_same(ours: Any, theirs: Any, capsys: pytest.CaptureFixture) -> None:
    for name in ("precision", "recall"):
        assert ours.eval[name].shape == theirs.eval[name].shape
        assert (ours.eval[name] == theirs.eval[name]).all(), name
    assert list(ours.results.items()) == list(theirs.results.items())
    assert ours.get_results() is ours.results and ours.eval["counts"] == theirs.eval["counts"]
    assert ours.freq_groups == theirs.freq_groups
    capsys.readouterr()
    theirs.print_results()
    lines = capsys.readouterr().out
    ours.print_results()
    assert capsys.readouterr().out == lines and lines.count("\n") == 13


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("seed", SEEDS)
def test_objects_paths_and_lists(seed, iou_type, write, capsys):
    """Each form of annotations and results; sizes by the box where entries have one, as the tool has it."""
    annotations, results = lvis_problem(seed, iou_type)
    path, results_path = write("annotations.json", annotations), write("results.json", results)
    limit = (300, 12, -1)[seed % 3]
    theirs = official(path, results, iou_type, limit, lambda params, _: setattr(params, "max_dets", limit))
    truth = LVIS(path)
    forms = [LVISResults(truth, results, limit), LVISResults(str(path), str(results_path), limit)]
    forms[1].dataset  # what was asked for is scored  # noqa: B018
    with lvis_api() as lvis:
        forms.append(lvis.LVISResults(str(path), copy.deepcopy(results), limit))
        truths = [truth, str(path), lvis.LVIS(str(path))]
    if limit == 300:
        truths, forms = [*truths, path, truth], [*forms, str(results_path), results]
    before = copy.deepcopy(results)
    for annotations_form, results_form in zip(truths, forms, strict=True):
        ours = LVISEval(annotations_form, results_form, iou_type)
        ours.params.max_dets = limit
        ours.run()
        assert_same(ours, theirs, capsys)
    assert results == before


def test_boxes_need_no_sound_masks(write, capsys):
    """Row 94 of docs/deviations.md: neither shapes nor sizes of images."""
    annotations, results = lvis_problem(3, "bbox")
    for image in annotations["images"]:
        del image["height"], image["width"]
    path = write("annotations.json", annotations)
    ours = LVISEval(path, results, "bbox")
    ours.run()
    assert_same(ours, official(path, results, "bbox", 300), capsys)
    ids = [image["id"] for image in annotations["images"]]
    assert average_precision(subset(path, ids, masks=False), results, "bbox")["AP"] == ours.results["AP"]


@pytest.mark.parametrize("seed", seeds(8))
def test_boundaries(seed, write, capsys):
    """As boundary-iou-api's copy of lvis-api (row 96 of docs/deviations.md apart): the same tables, of that IoU."""
    annotations, results = lvis_problem(seed + 80)
    path = write("annotations.json", annotations)
    with in_official_tools():
        theirs = official(path, results, "segm", 300)
    for truth in (path, LVIS(path)):
        ours = LVISEval(truth, results, "boundary")
        ours.run()
        assert_same(ours, theirs, capsys)


CHANGES: dict[str, Change] = {
    "thresholds": lambda params, _: setattr(params, "iou_thrs", np.array([0.5, 0.62, 0.75])),
    "low thresholds": lambda params, _: setattr(params, "iou_thrs", np.linspace(0.1, 0.9, 9)),
    "one threshold": lambda params, _: setattr(params, "iou_thrs", np.array([0.75])),
    "recalls": lambda params, _: setattr(params, "rec_thrs", np.linspace(0, 1, 11)),
    "images": lambda params, document: setattr(params, "img_ids", [i["id"] for i in document["images"][::2]] * 2),
    "one area": lambda params, _: vars(params).update(area_rng=[[0, 1e10]], area_rng_lbl=["all"]),
    "other areas": lambda params, _: setattr(params, "area_rng", [[0, 1e10], [0, 500], [500, 2000], [2000, 1e10]]),
    "classes": lambda params, document: setattr(params, "cat_ids", [c["id"] for c in document["categories"]][:0:-1]),
    "not lvis-api's names": lambda params, _: vars(params).update(imgIds=[1], useCats=0, maxDets=[1]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", seeds(12))
def test_other_parameters(seed, change, write, capsys):
    annotations, results = lvis_problem(seed + 20, iou_type := ("segm", "bbox")[seed % 2])
    path = write("annotations.json", annotations)
    theirs = official(path, results, iou_type, 300, CHANGES[change])
    ours = LVISEval(str(path), results, iou_type)
    CHANGES[change](ours.params, annotations)
    ours.run()
    assert_same(ours, theirs, capsys)
    assert list(ours.params.img_ids) == list(theirs.params.img_ids)


def test_recalls_may_change_after_evaluation(write, capsys):
    annotations, results = lvis_problem(3)
    path = write("annotations.json", annotations)
    ours = LVISEval(str(path), results)
    ours.run()
    CHANGES["recalls"](ours.params, annotations)
    ours.accumulate()
    ours.summarize()
    assert_same(ours, official(path, results, "segm", 300, CHANGES["recalls"]), capsys)
    CHANGES["one area"](ours.params, annotations)
    assert "params have changed since evaluate()" in refused(ours.accumulate)


def test_a_changed_document_is_what_is_scored(write, capsys):
    annotations, results = lvis_problem(8)
    truth = LVIS(write("annotations.json", annotations))
    del truth.dataset["annotations"][::2]
    truth._create_index()
    changed = write("changed.json", truth.dataset)
    results = [entry for entry in results if entry["score"] > 0.2]
    ours = LVISEval(truth, results)
    ours.run()
    assert_same(ours, official(changed, results, "segm", 300), capsys)


def test_our_file_and_the_best_of_each_class(write, tmp_path, capsys):
    """AP-Fixed as Dave et al.'s script has it, from entries and from our .npz."""
    annotations, results = lvis_problem(11)
    for entry in results:
        entry.pop("bbox", None)
    best = best_of_classes(results, 5)
    path = write("annotations.json", annotations)
    save_detections(best, tmp_path / "best.npz")
    theirs = official(path, best, "segm", -1, lambda params, _: setattr(params, "max_dets", -1))
    for form in (best, tmp_path / "best.npz"):
        ours = LVISEval(LVIS(path), LVISResults(LVIS(path), form, max_dets=-1))
        ours.params.max_dets = -1
        ours.run()
        assert_same(ours, theirs, capsys)


def test_boxes_scored_as_masks_and_results_that_a_tool_wrote_into(write, capsys):
    """lvis-api makes rectangles of boxes, and writes them into the list."""
    annotations, results = lvis_problem(5, "bbox")
    path = write("annotations.json", annotations)
    theirs = official(path, results, "segm", 300)
    with lvis_api() as lvis:
        lvis.LVISResults(str(path), results)
    assert isinstance(results[0]["segmentation"], list)
    for iou_type, expected in (("segm", theirs), ("bbox", official(path, results, "bbox", 300))):
        ours = LVISEval(str(path), results, iou_type)
        ours.run()
        assert_same(ours, expected, capsys)


def test_the_object_answers_as_lvis_apis(write):
    annotations, results = disc_problem("lvis")
    path = write("annotations.json", annotations)
    ours, asked = LVIS(path), LVIS(path)
    asked.dataset  # noqa: B018
    with lvis_api() as lvis:
        theirs = lvis.LVIS(str(path))
        found = LVISResults(ours, results), lvis.LVISResults(theirs, copy.deepcopy(results), 300)
    for one in (ours, asked):
        for name in ("get_ann_ids", "get_cat_ids", "get_img_ids"):
            assert getattr(one, name)() == getattr(theirs, name)()
    images, classes = theirs.get_img_ids()[:3], theirs.get_cat_ids()[:4]
    assert "dataset" not in vars(ours)
    assert ours.get_ann_ids(img_ids=images) == theirs.get_ann_ids(img_ids=images)
    assert ours.get_ann_ids(images, classes, [30, 3000]) == theirs.get_ann_ids(images, classes, [30, 3000])
    assert ours.get_ann_ids(cat_ids=classes) == theirs.get_ann_ids(cat_ids=classes)
    for name in ("load_anns", "load_cats", "load_imgs"):
        assert getattr(ours, name)(None) == getattr(theirs, name)(None)
    assert ours.load_cats(classes) == theirs.load_cats(classes)
    for name in ("dataset", "anns", "cats", "imgs", "img_ann_map", "cat_img_map"):
        assert getattr(ours, name) == getattr(theirs, name)
    ann = ours.load_anns()[0]
    assert (ours.ann_to_mask(ann) == theirs.ann_to_mask(ann)).all()
    ann = {"image_id": images[0], "segmentation": [[20, 20, 50, 20, 50, 60, 20, 60]]}
    assert ours.ann_to_rle(ann) == theirs.ann_to_rle(ann)
    assert found[0].dataset == found[1].dataset
    assert found[0].get_top_results(images[0], 0.5) == found[1].get_top_results(images[0], 0.5)
    assert found[0].get_ann_ids() == found[1].get_ann_ids() and found[0].anns == found[1].anns


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        ("iou_thrs", [0.05, 0.5], r"params.iou_thrs is [0.05, 0.5]: give a list of one or more numbers from 0.1 to 1"),
        ("iou_thrs", "half", "params.iou_thrs is 'half'"),
        ("rec_thrs", [1.0, 0.0], "params.rec_thrs is [1.0, 0.0]: give it in ascending order"),
        ("area_rng", [[0, 1]], "params.area_rng has 1 ranges and 4 labels"),
        ("area_rng", [0, 1], "give pairs of areas"),
        ("img_ids", [], "params.img_ids is []: give a list of one or more whole numbers"),
        ("img_ids", [-5], "params.img_ids has -5, which"),
        ("cat_ids", [-5], "params.cat_ids has -5, which"),
        ("use_cats", 0, "params.use_cats is off"),
        ("iou_type", "keypoints", "iou type 'keypoints' cannot be evaluated here"),
    ],
)
def test_parameters_that_cannot_be_followed(parameter, value, words, lvis):
    evaluation = LVISEval(*lvis)
    setattr(evaluation.params, parameter, value)
    assert words in refused(evaluation.run)


def test_inputs_that_cannot_be_scored(lvis, coco, write, tmp_path):
    annotations, results = lvis
    assert "iou type 'keypoints'" in refused(LVISEval, annotations, results, "keypoints")
    assert "does not exist" in refused(LVIS, tmp_path / "absent.json")
    assert "is in COCO's format, not in LVIS's" in refused(LVISEval, coco[0], results)
    assert "annotations cannot be a int" in refused(LVISEval, 3, results)
    assert "results cannot be a dict" in refused(LVISResults, annotations, {})
    assert "nothing was evaluated" in refused(LVISEval(annotations, results).accumulate)
    assert "there are no tables" in refused(LVISEval(annotations, results).summarize)
    assert LVISEval(annotations, results).get_results() == {}
    assert "take lvis-api for matches" in refused(getattr, LVISEval(annotations, results), "eval_imgs")
    entries = json.loads(Path(results).read_text())
    del entries[7]["bbox"]
    assert 'detection 7 has no "bbox", unlike those before' in refused(LVISEval(annotations, entries).run)
    entries = [{key: entry[key] for key in entry if key != "bbox"} for entry in entries]
    assert 'has no "segmentation"' in refused(lambda: LVISResults(annotations, [entries[0], {"image_id": 120}]).dataset)
    entries[5]["bbox"] = [0, 0, 1, 1]
    assert 'detection 5 has a "bbox", unlike those before' in refused(LVISEval(annotations, entries).run)
    assert "holds a dict: give results, a list" in refused(lambda: LVISResults(annotations, annotations).dataset)
    assert "is no JSON" in refused(
        lambda: LVIS(write("cut.json", {}).write_text("{") and tmp_path / "cut.json").dataset
    )


def test_the_whole_package_in_the_place_of_lvis(monkeypatch):
    """As docs/drop_in.md has it for detectron2."""
    monkeypatch.setitem(sys.modules, "lvis", fasa.evaluation)
    import lvis

    assert (lvis.LVIS, lvis.LVISEval, lvis.LVISResults) == (LVIS, LVISEval, LVISResults)


@pytest.mark.parametrize("form", ["list", "path", "spaced"])
def test_no_detections_are_an_index_error_as_in_lvis_api(form, lvis, write):
    empty = write("empty.json", [])
    if form == "spaced":
        empty.write_text("[\n]\n")
    with pytest.raises(IndexError, match="holds no detections") as caught:
        LVISResults(lvis[0], [] if form == "list" else empty)
    assert caught.type is EmptyResults
