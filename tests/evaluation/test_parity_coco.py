"""COCO AP against pycocotools: every cell of both tables and all twelve figures, with ``==``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cases import coco_problem, detections_around, seeds
from oracles import assert_equal, coco_official

from fasa.evaluation import Evaluation, evaluate, load_ground_truth, overlaps
from fasa.evaluation.metrics import average_precision, matching

SEEDS = seeds(40)
LIMITS = ((1, 10, 100), (1, 2, 3), (2, 3, 6))  # detections of a class in an image; the small ones bite


def data(name: str) -> Path:
    path = Path(os.environ.get("FASA_TEST_DATA", "")) / name
    if not os.environ.get("FASA_TEST_DATA") or not path.exists():
        pytest.skip(f"FASA_TEST_DATA names no folder with {name}")
    return path


def set_limits(monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int, int]) -> None:
    for module in (matching, average_precision):
        monkeypatch.setattr(module, "COCO_LIMITS", limits)


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("seed", SEEDS)
def test_problems_full_of_ties(seed: int, iou_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = LIMITS[seed % len(LIMITS)]
    set_limits(monkeypatch, limits)
    annotations, results = coco_problem(seed, iou_type)
    ours = evaluate(overlaps(load_ground_truth(annotations), results, iou_type))
    official = coco_official(annotations, results, iou_type, limits)
    renamed = {f"AR{limits[0]}": "AR1", f"AR{limits[1]}": "AR10"}  # their names hold the usual limits
    summary = {renamed.get(name, name): figure for name, figure in ours.summary.items()}
    assert_equal(Evaluation(**{**vars(ours), "summary": summary}), official)


def test_areas_of_boxes_as_pycocotools_takes_them() -> None:
    annotations, results = next(problem for problem in map(coco_problem, range(100)) if "bbox" in problem[1][0])
    found = overlaps(load_ground_truth(annotations), results, area="box")
    assert_equal(evaluate(found), coco_official(annotations, results, area="box"))


def test_no_detections() -> None:
    annotations, _ = coco_problem(3)
    assert_equal(evaluate(overlaps(load_ground_truth(annotations), [])), coco_official(annotations, []))


def test_more_than_a_hundred_of_a_class_in_an_image() -> None:
    """The real cap, 100 of a class in an image: detection 101 would have been the right one."""
    annotations, results = coco_problem(5)
    truth = next(entry for entry in annotations["annotations"] if not entry["iscrowd"] and entry["area"])
    other = next(result for result in results if result["image_id"] == truth["image_id"])
    wrong = [other | {"category_id": truth["category_id"], "score": 2.0 - i / 1000} for i in range(130)]
    results = [*results, *wrong]
    assert_equal(evaluate(overlaps(load_ground_truth(annotations), results)), coco_official(annotations, results))


def test_bins_of_training_instances() -> None:
    """SimCal's four bins: the mean of the official table over the classes of a bin."""
    annotations, results = coco_problem(7)
    truth = load_ground_truth(annotations)
    counts = np.array([19, 20, 399, 400, 7999, 8000, 12])[: len(truth.category_ids)]
    summary = evaluate(overlaps(truth, results), instance_counts=counts).summary
    table = coco_official(annotations, results).precision[..., 0]
    for name, low, high in (("1_20", 1, 20), ("20_400", 20, 400), ("400_8000", 400, 8000), ("8000", 8000, np.inf)):
        part = table[:, :, (counts >= low) & (counts < high)]
        part = part[part > -1]
        assert summary[f"AP_{name}"] == (float(np.mean(part)) if part.size else None)


@pytest.mark.parametrize(("iou_type", "known"), [("segm", 0.320), ("bbox", 0.505)])
def test_the_files_pycocotools_comes_with(iou_type: str, known: float) -> None:
    """pycocotools' demonstration: 100 images of val2014 and fake results, whose AP is in its notebook."""
    path = data("coco_eval/instances_val2014_100.json")
    results = path.with_name(f"instances_val2014_fake{iou_type}100_results.json")
    annotations = json.loads(path.read_text())
    official = coco_official(annotations, json.loads(results.read_text()), iou_type)
    assert official.summary["AP"] == pytest.approx(known, abs=5e-4)
    assert_equal(evaluate(overlaps(load_ground_truth(annotations), results, iou_type)), official)


@pytest.mark.parametrize("part", ["train", "val"])
def test_real_annotations_with_crowds(part: str) -> None:
    path = data(f"coco_mini/instances_{part}.json")
    annotations = json.loads(path.read_text())
    results = detections_around(annotations, 60, seed=4)
    official = coco_official(annotations, results)
    assert official.summary["AP"] > 0.05
    assert_equal(evaluate(overlaps(load_ground_truth(annotations), results)), official)
    boxes = coco_official(annotations, results, "bbox")
    assert_equal(evaluate(overlaps(load_ground_truth(annotations), results, "bbox")), boxes)
