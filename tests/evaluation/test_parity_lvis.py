"""LVIS AP and AP-Fixed against lvis-api: every cell of both tables and every figure, with ``==``."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from cases import detections_around, lvis_problem, seeds
from oracles import assert_equal, fixed_official, lvis_official

from fasa.evaluation import DetectionWriter, evaluate, load_ground_truth, overlaps
from fasa.evaluation.metrics import matching

SEEDS = seeds(50)
LIMITS = ((12, 15), (5, 4), (300, 10_000))  # of an image, of a class; the small ones bite


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("seed", SEEDS)
def test_problems_full_of_ties(seed: int, iou_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_image, of_class = LIMITS[seed % len(LIMITS)]
    monkeypatch.setattr(matching, "IMAGE_LIMIT", of_image)
    monkeypatch.setattr(matching, "CLASS_LIMIT", of_class)
    annotations, results = lvis_problem(seed, iou_type)
    found = overlaps(load_ground_truth(annotations), results, iou_type)
    assert_equal(evaluate(found, "standard"), lvis_official(annotations, results, iou_type, of_image))
    assert_equal(evaluate(found, "fixed"), fixed_official(annotations, results, iou_type, of_class))


@pytest.mark.parametrize("seed", range(3))
def test_areas_of_boxes_as_the_official_tools_take_them(seed: int) -> None:
    """Mask results with boxes: without care the tools measure small, medium and large by the box."""
    annotations, results = next(
        problem for problem in map(lvis_problem, range(100 * seed, 1000)) if "bbox" in problem[1][0]
    )
    truth = load_ground_truth(annotations)
    by_box = evaluate(overlaps(truth, results, area="box"))
    assert_equal(by_box, lvis_official(annotations, results, area="box"))
    assert_equal(evaluate(overlaps(truth, results)), lvis_official(annotations, results, area="mask"))


@pytest.mark.parametrize("seed", range(2))
def test_boxes_of_mask_results(seed: int) -> None:
    """Boxes scored where only masks are given: the tools take each mask's own box, and its area from the mask."""
    annotations, results = next(
        problem for problem in map(lvis_problem, range(100 * seed, 1000)) if "bbox" not in problem[1][0]
    )
    found = overlaps(load_ground_truth(annotations), results, "bbox")
    assert_equal(evaluate(found), lvis_official(annotations, results, "bbox"))


def test_files_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON, zipped JSON, and our own files with all masks or those of judged classes; annotations read, then cached."""
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "cache"))
    annotations, results = lvis_problem(3)
    official, fixed = lvis_official(annotations, results), fixed_official(annotations, results)
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "results.json.gz").write_bytes(gzip.compress(json.dumps(results).encode()))
    for policy in ("all", "verified"):
        with DetectionWriter(tmp_path / f"{policy}.npz", load_ground_truth(annotations), policy) as writer:
            for entry in results:
                mask = [entry["segmentation"]]
                writer.add(entry["image_id"], [entry["category_id"]], [entry["score"]], masks=mask)
    for name in ("results.json", "results.json.gz", "all.npz", "verified.npz"):
        found = overlaps(load_ground_truth(tmp_path / "annotations.json"), tmp_path / name)
        assert_equal(evaluate(found, "standard"), official)
        assert_equal(evaluate(found, "fixed"), fixed)


@pytest.mark.slow
@pytest.mark.parametrize("per_image", [120, 330])  # the latter makes the real cap of 300 bite
def test_real_annotations(per_image: int) -> None:
    """The 100 real images: real polygons, 1,230 classes, negative and not-exhaustive classes."""
    path = Path(os.environ.get("FASA_TEST_DATA", "")) / "lvis/lvis_val_100.json"
    if not os.environ.get("FASA_TEST_DATA") or not path.exists():
        pytest.skip("FASA_TEST_DATA names no folder with lvis/lvis_val_100.json")
    annotations = json.loads(path.read_text())
    results = detections_around(annotations, per_image, seed=per_image)
    truth = load_ground_truth(annotations)
    found = overlaps(truth, results)
    official = lvis_official(annotations, results)
    assert official.summary["AP"] > 0.05
    assert_equal(evaluate(found), official)
    assert_equal(evaluate(found, "fixed"), fixed_official(annotations, results))
    boxes = overlaps(truth, results, "bbox")
    assert_equal(evaluate(boxes), lvis_official(annotations, results, "bbox"))
