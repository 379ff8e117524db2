"""``COCOeval`` under pycocotools' names: stats, the five-dimensional tables and printed lines equal, with ``==``."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from boundary_oracle import in_official_tools
from cases import coco_problem, lvis_problem, seeds
from evaluation_toys import refused
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval as OfficialEval

from fasa.evaluation import COCOeval, load_ground_truth
from fasa.evaluation.drop_in.inputs import EmptyResults

Json = dict[str, Any]
Change = Callable[[Any, Json], None]

SEEDS = seeds(30)


def loaded(annotations: Json, results: list[Json] | None = None) -> Any:
    """pycocotools' objects of annotations, and of detections if there are any."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, **copy.deepcopy(annotations)}
        truth.createIndex()
        return truth if results is None else (truth, truth.loadRes(copy.deepcopy(results)))


def run(evaluation: Any, change: Change | None, annotations: Json) -> tuple[Any, str]:
    """The evaluation, run with changed parameters, and the lines of its summary."""
    if change:
        change(evaluation.params, annotations)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        evaluation.summarize()
    return evaluation, printed.getvalue()


def assert_same(ours: tuple[Any, str], theirs: tuple[Any, str]) -> None:
    for name in ("precision", "recall", "scores"):
        table, official = ours[0].eval[name], theirs[0].eval[name]
        assert table.shape == official.shape
        assert (table == official).all(), f"{name}: {np.argwhere(table != official)[:3].tolist()}"
    assert ours[0].stats.tolist() == theirs[0].stats.tolist()
    assert ours[0].eval["counts"] == theirs[0].eval["counts"]
    assert ours[1] == theirs[1] and ours[1].count("\n") == 12


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("seed", SEEDS)
def test_objects_paths_and_lists(seed, iou_type, write):
    """Each form of annotations and results; sizes by the box where entries have one, as the tool has it."""
    annotations, results = coco_problem(seed, iou_type)
    theirs = run(OfficialEval(*loaded(annotations, results), iou_type), None, annotations)
    path, results_path = write("annotations.json", annotations), write("results.json", results)
    truth, found = loaded(annotations, results)
    forms = [(truth, found), (truth, results), (str(path), str(results_path)), (annotations, results_path)]
    for form in [*forms, (load_ground_truth(path), results)]:
        assert_same(run(COCOeval(*form, iou_type), None, annotations), theirs)


def mmdet(params: Any, _: Json) -> None:
    params.maxDets = [100, 300, 1000]


def agnostic(params: Any, _: Json) -> None:
    params.useCats = 0
    params.maxDets = [2, 5, 9]


def agnostic_in_the_files_order(params: Any, document: Json) -> None:
    """As MMDetection asks for it; of equals the last class's object is taken."""
    params.useCats = 0
    params.catIds = [entry["id"] for entry in document["categories"]]


def agnostic_of_some(params: Any, document: Json) -> None:
    params.useCats = 0
    params.catIds = sorted(entry["id"] for entry in document["categories"])[1:]
    params.imgIds = sorted(entry["id"] for entry in document["images"])[1:]


CHANGES: dict[str, Change] = {
    "mmdet's limits": mmdet,
    "small limits, out of order": lambda params, _: setattr(params, "maxDets", [3, 1, 2]),
    "four limits": lambda params, _: setattr(params, "maxDets", [1, 2, 3, 100]),
    "thresholds": lambda params, _: setattr(params, "iouThrs", np.array([0.5, 0.62, 0.75])),
    "recalls": lambda params, _: setattr(params, "recThrs", np.linspace(0, 1, 11)),
    "images": lambda params, document: setattr(params, "imgIds", [i["id"] for i in document["images"][::2]] * 2),
    "unknown images": lambda params, document: setattr(params, "imgIds", [document["images"][0]["id"], 999_999]),
    "classes, one unknown": lambda params, document: setattr(
        params, "catIds", [*[c["id"] for c in document["categories"]][:0:-1], 888]
    ),
    "no classes": agnostic,
    "no classes, in the file's order": agnostic_in_the_files_order,
    "some as no classes": agnostic_of_some,
    "areas": lambda params, _: setattr(params, "areaRng", [[0, 1e10], [0, 500], [500, 2000], [2000, 1e10]]),
    "one area": lambda params, _: vars(params).update(areaRng=[[0, 900]], areaRngLbl=["small"]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", seeds(12))
def test_other_parameters(seed, change, write):
    annotations, results = coco_problem(seed + 40, iou_type := ("segm", "bbox")[seed % 2])
    theirs = run(OfficialEval(*loaded(annotations, results), iou_type), CHANGES[change], annotations)
    assert_same(run(COCOeval(loaded(annotations), results, iou_type), CHANGES[change], annotations), theirs)


@pytest.mark.parametrize("change", [None, "mmdet's limits", "no classes", "areas"])
@pytest.mark.parametrize("seed", seeds(8))
def test_boundaries(seed, change, write):
    """As boundary-iou-api's copy of pycocotools: the same tables, of that IoU."""
    annotations, results = coco_problem(seed + 80)
    with in_official_tools():
        theirs = run(OfficialEval(*loaded(annotations, results), "segm"), CHANGES.get(change), annotations)
    for truth in (loaded(annotations), write("annotations.json", annotations)):
        assert_same(run(COCOeval(truth, results, "boundary"), CHANGES.get(change), annotations), theirs)


@pytest.mark.parametrize(("order", "found"), [([3, 9], 2), ([9, 3], 1)])
def test_of_equal_objects_the_last_classs_is_taken(order, found):
    """The first detection overlaps both objects alike, the second only that of class 3."""
    image = {"id": 1, "height": 20, "width": 20}
    shapes = {3: [0, 0, 10, 10], 9: [5, 0, 10, 10]}
    truths = [
        {"id": i, "image_id": 1, "category_id": c, "bbox": box, "area": 100, "iscrowd": 0}
        for i, (c, box) in enumerate(shapes.items(), start=1)
    ]
    annotations = {"images": [image], "annotations": truths, "categories": [{"id": 3}, {"id": 9}]}
    boxes = ([2.5, 0, 10, 10], 0.9), ([0, 0, 10, 10], 0.8)
    results = [{"image_id": 1, "category_id": 3, "bbox": box, "score": score} for box, score in boxes]

    def change(params: Any, _: Json) -> None:
        params.useCats, params.catIds = 0, order

    ours = run(COCOeval(loaded(annotations), results, "bbox"), change, annotations)
    assert_same(ours, run(OfficialEval(*loaded(annotations, results), "bbox"), change, annotations))
    assert ours[0].eval["recall"][0, 0, 0, 2] == found / 2


@pytest.mark.parametrize("seed", range(3))
def test_low_thresholds_without_crowds(seed):
    annotations, results = coco_problem(seed)

    def low(params: Any, _: Json) -> None:
        params.iouThrs = np.linspace(0.1, 0.9, 9)

    crowd = next(entry for entry in annotations["annotations"])
    crowd["iscrowd"] = 1
    assert "goes below 0.5, where crowds are not compared" in refused(
        run, COCOeval(loaded(annotations), results), low, annotations
    )
    for entry in annotations["annotations"]:
        entry["iscrowd"] = 0
    theirs = run(OfficialEval(*loaded(annotations, results), "segm"), low, annotations)
    assert_same(run(COCOeval(loaded(annotations), results), low, annotations), theirs)


def test_lvis_annotations_that_pycocotools_loaded():
    """pycocotools passes over negative classes: every class counts in every image."""
    annotations, results = lvis_problem(4)
    for entry in annotations["annotations"]:
        entry["iscrowd"] = 0
    theirs = run(OfficialEval(*loaded(annotations, results), "segm"), None, annotations)
    assert_same(run(COCOeval(loaded(annotations), results), None, annotations), theirs)
    assert "is in LVIS's format, not in COCO's" in refused(COCOeval, annotations, results)


@pytest.mark.parametrize("absent", ["height", "segmentation", "bbox"])
def test_what_is_not_looked_at_may_be_missing(absent):
    annotations, results = coco_problem(6, iou_type := "segm" if absent == "bbox" else "bbox")
    for entry in annotations["images"] if absent == "height" else annotations["annotations"]:
        del entry[absent]
    if absent == "segmentation":
        results = [entry | {"segmentation": None} for entry in results]
    theirs = run(OfficialEval(*loaded(annotations, results), iou_type), None, annotations)
    assert_same(run(COCOeval(loaded(annotations), results, iou_type), None, annotations), theirs)


def test_boxes_scored_as_masks():
    """``loadRes`` makes rectangles of boxes."""
    annotations, results = coco_problem(9, "bbox")
    objects = loaded(annotations, results)
    ours, theirs = COCOeval(*loaded(annotations, results)), OfficialEval(*objects, "segm")
    assert_same(run(ours, None, annotations), run(theirs, None, annotations))


def test_objects_may_be_set_later():
    annotations, results = coco_problem(2)
    ours = COCOeval()
    assert "COCOeval has no cocoGt" in refused(ours.evaluate)
    ours.cocoGt, ours.cocoDt = loaded(annotations, results)
    ours.params.imgIds, ours.params.catIds = ours.cocoGt.getImgIds(), ours.cocoGt.getCatIds()
    assert_same(
        run(ours, None, annotations), run(OfficialEval(*loaded(annotations, results), "segm"), None, annotations)
    )
    ours.params.recThrs = np.array([0.0, 0.5, 1.0])
    ours.accumulate(copy.copy(ours.params))
    assert ours.eval["precision"].shape[1] == 3
    ours.params.maxDets = [1]
    assert "params have changed since evaluate()" in refused(ours.accumulate)


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("kept", ["none", "in no image of the annotations", "some"])
def test_an_object_may_be_empty_or_have_further_images(kept, iou_type):
    """As torchmetrics makes them: detections of unknown images are passed over; without any, classes have 0."""
    annotations, results = coco_problem(2, iou_type)
    objects = [loaded(annotations, results) for _ in range(2)]
    for _, found in objects:
        entries = found.dataset["annotations"]
        for entry in entries[::2] if kept == "some" else entries:
            entry["image_id"] = 10**6
        found.dataset["annotations"] = [] if kept == "none" else entries
        with contextlib.redirect_stdout(io.StringIO()):
            found.createIndex()
    ours, theirs = COCOeval(*objects[0], iou_type), OfficialEval(*objects[1], iou_type)
    theirs = run(theirs, None, annotations)
    assert_same(run(ours, None, annotations), theirs)
    assert (theirs[0].stats[0] > 0) == (kept == "some")


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        ("iouThrs", [0.05], "params.iouThrs is [0.05]: give a list of one or more numbers from 0.1 to 1"),
        ("maxDets", [0, 10, 100], "params.maxDets has 0"),
        ("maxDets", [10], "the summary is of three limits"),
        ("catIds", ["a"], "params.catIds is ['a']: give a list of one or more whole numbers"),
        ("imgIds", [], "params.imgIds is []"),
        ("iouType", "keypoints", "iou type 'keypoints' cannot be evaluated here"),
    ],
)
def test_parameters_that_cannot_be_followed(parameter, value, words, coco):
    evaluation = COCOeval(*coco)
    setattr(evaluation.params, parameter, value)
    assert words in refused(run, evaluation, None, {})


def test_inputs_that_cannot_be_scored(coco):
    annotations, results = coco
    assert "iou type 'keypoints'" in refused(COCOeval, annotations, results, "keypoints")
    evaluation = COCOeval(annotations, results)
    assert "nothing was evaluated" in refused(evaluation.accumulate)
    assert "there are no tables" in refused(evaluation.summarize)
    assert "take pycocotools for matches" in refused(getattr, evaluation, "evalImgs")
    assert "take pycocotools for overlaps" in refused(getattr, evaluation, "ious")
    evaluation.params.useCats, evaluation.params.catIds = 0, [3, 1, 3]
    assert "params.catIds names a class twice" in refused(evaluation.evaluate)
    with pytest.raises(EmptyResults, match="holds no detections"):
        run(COCOeval(annotations, []), None, {})
