"""Boxes are scored without a look at masks, masks without a look at boxes: all that the official tools accept so."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import coco_problem, lvis_problem
from evaluation_toys import coco_document, lvis_document, refused
from oracles import assert_equal, coco_official, lvis_official

from fasa.evaluation import (
    average_precision,
    evaluate,
    load_detections,
    load_ground_truth,
    overlaps,
    save_detections,
    save_ground_truth,
)
from fasa.evaluation.io import results_json

ROOT = Path(__file__).parents[2]
MISSING = object()
BROKEN: list[Any] = [
    [],
    None,
    [[1, 1, 5, 1, 5, 5]],
    {"size": [3, 4], "counts": [12]},
    {"size": [10, 12], "counts": "~~"},
    "mask",
    MISSING,
    np.ones((10, 12), bool),
]
PROBLEMS = {"lvis": (lvis_problem, lvis_official), "coco": (coco_problem, coco_official)}


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "cache"))


def with_masks(entries: list[dict[str, Any]], masks: list[Any]) -> list[dict[str, Any]]:
    """Copies of entries, the i-th with the i-th mask, round and round."""
    changed = []
    for i, entry in enumerate(entries):
        one = {key: value for key, value in entry.items() if key != "segmentation"}
        if masks[i % len(masks)] is not MISSING:
            one["segmentation"] = masks[i % len(masks)]
        changed.append(one)
    return changed


@pytest.mark.parametrize("way", ["lists", "files", "columns"])
@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("seed", range(3))
def test_boxes_are_scored_whatever_the_masks_are(tmp_path: Path, kind: str, seed: int, way: str):
    problem, official = PROBLEMS[kind]
    annotations, results = problem(seed, "bbox")
    expected = official(annotations, results, "bbox")
    masks = BROKEN if way == "lists" else BROKEN[:-1]  # JSON has no arrays
    annotations = {**annotations, "annotations": with_masks(annotations["annotations"], BROKEN[:-1])}
    found: Any = with_masks(results, masks)
    truth: Any = annotations
    if way != "lists":
        (tmp_path / "truth.json").write_text(json.dumps(annotations))
        (tmp_path / "found.json").write_text(json.dumps(found))
        truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    if way == "columns":
        sized = [{"size": [3, 4], "counts": [12]}]
        save_detections(with_masks(results, sized), tmp_path / "found.npz")  # masks of another size
        found = tmp_path / "found.npz"
    for _ in range(2):  # the second time from the cache
        assert_equal(evaluate(overlaps(truth, found, "bbox")), expected)


def test_boxes_beside_masks_of_any_kind_are_read_the_quick_way(tmp_path: Path, monkeypatch):
    annotations, results = coco_problem(0, "bbox")
    (tmp_path / "found.json").write_text(json.dumps(with_masks(results, BROKEN[:-1])))
    monkeypatch.setattr(results_json._Reader, "_careful", lambda self: pytest.fail("the careful way"))
    assert len(overlaps(annotations, tmp_path / "found.json", "bbox").score) == len(results)


@pytest.mark.parametrize("mask", BROKEN[:-2])
def test_masks_are_looked_at_where_there_is_no_box(tmp_path: Path, mask: Any):
    annotations, results = coco_problem(0, "bbox")
    results[5] = {**results[5], "segmentation": mask}
    del results[5]["bbox"]
    (tmp_path / "found.json").write_text(json.dumps(results))
    for found in (results, tmp_path / "found.json"):
        assert "detection 5" in refused(average_precision, annotations, found, "bbox")


@pytest.mark.parametrize("kind", PROBLEMS)
def test_boxes_need_no_sizes_of_images(kind: str):
    problem, official = PROBLEMS[kind]
    annotations, results = problem(1, "bbox")
    for image in annotations["images"]:
        del image["height"], image["width"]
    assert_equal(evaluate(overlaps(annotations, results, "bbox")), official(annotations, _boxes(results), "bbox"))


def _boxes(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return with_masks(results, [MISSING])


@pytest.mark.parametrize("kind", PROBLEMS)
def test_masks_need_no_boxes_of_annotations(kind: str):
    problem, official = PROBLEMS[kind]
    annotations, results = problem(1, "segm")
    for i, entry in enumerate(annotations["annotations"]):
        entry["bbox"] = [None, [], MISSING][i % 3]
        if entry["bbox"] is MISSING:
            del entry["bbox"]
    assert_equal(evaluate(overlaps(annotations, results)), official(annotations, results))
    assert "has no bbox; boxes cannot be scored, use iou_type segm" in refused(
        average_precision, annotations, results, "bbox"
    )


def test_masks_need_sizes_of_images():
    document = coco_document()
    del document["images"][1]["height"]
    assert 'annotation 1 has a "segmentation", but its image no "height"' in refused(load_ground_truth, document)
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] != 10]
    assert load_ground_truth(document).image_sizes.tolist() == [[0, 12], [8, 9], [10, 12]]


def test_annotations_without_masks_say_so_and_are_kept_apart(tmp_path: Path):
    path, own = tmp_path / "a.json", tmp_path / "a.npz"
    path.write_text(json.dumps(lvis_document()))
    bare = load_ground_truth(path, masks=False)
    assert (bare.mask_area == -2).all() and len(bare.runs) == 0
    assert "was loaded without masks" in refused(overlaps, bare, [])
    save_ground_truth(bare, own)
    assert (load_ground_truth(own).mask_area == -2).all()
    whole = load_ground_truth(path)
    assert (whole.mask_area > 0).all()
    np.testing.assert_array_equal(load_ground_truth(path, masks=False).runs, whole.runs)  # what is kept holds both


def test_polygons_on_too_large_an_image_are_a_sentence():
    code = """
from evaluation_toys import coco_document
from fasa.evaluation import average_precision, load_ground_truth
document = coco_document()
document["images"][1] |= {"height": 65536, "width": 65536}
print(average_precision(document, [], "bbox")["AP"])
load_ground_truth(document)
"""
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode != -signal.SIGSEGV and done.stdout == "0.0\n", done.stderr
    assert "annotation 1 has polygons on an image of 65536 x 65536" in done.stderr


def test_ids_below_zero_are_as_good_as_others():
    for problem, official in PROBLEMS.values():
        annotations, results = problem(2)
        for entry in annotations["annotations"]:
            entry["id"] *= -1
        assert_equal(evaluate(overlaps(annotations, results)), official(annotations, results))


def test_what_the_official_tools_take_and_we_do_not_is_a_sentence():
    annotations, results = coco_problem(3)
    text = copy.deepcopy(annotations)
    for image in text["images"]:
        image["id"] = f"image {image['id']}"
    assert '"id": write a whole number' in refused(average_precision, text, results)
    polygons = [{**entry, "segmentation": [[1, 1, 5, 1, 5, 5]]} for entry in results]
    assert "write a mask as RLE" in refused(average_precision, annotations, polygons)
    boxes = _boxes([{**entry, "bbox": [1, 1, 5, 5]} for entry in results])
    assert "has no segmentation" in refused(average_precision, annotations, boxes)
    annotations["annotations"][0]["id"] = 0
    assert "annotation 0 has id 0" in refused(average_precision, annotations, results)


def test_an_array_for_a_mask_is_a_sentence():
    entry = {"image_id": 1, "category_id": 1, "score": 1.0, "segmentation": np.zeros((50, 60), bool)}
    assert "pycocotools.mask.encode" in refused(load_detections, [entry])
