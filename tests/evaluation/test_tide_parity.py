"""TIDE's figures against tidecv 1.0.1: small problems full of ties, and real annotations."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import coco_problem, detections_around, lvis_problem
from pycocotools import mask as masks
from tide_oracle import assert_same, pycocotools_overlaps, tidecv

from fasa.evaluation import load_ground_truth, overlaps, tide
from fasa.evaluation.metrics.tide import DETECTIONS_PER_IMAGE

Json = dict[str, Any]
DATA = Path(os.environ["FASA_TEST_DATA"]) if os.environ.get("FASA_TEST_DATA") else None
needs_data = pytest.mark.skipif(DATA is None, reason="FASA_TEST_DATA names no folder with real annotations")
GRID = 10  # boxes of the tiny problems lie on a grid, so that IoUs are few and hit 0.1 and 0.5 exactly


def grid_problem(seed: int, federated: bool) -> tuple[Json, list[Json]]:
    """Boxes that are their own masks, on 10 cells of a line: hardly an IoU or a score that occurs only once."""
    rng = np.random.default_rng([seed, federated])
    images = (rng.choice(50, rng.integers(1, 6), replace=False) + 1).tolist()
    classes = (rng.choice(9, rng.integers(1, 5), replace=False) + 1).tolist()
    levels = int(rng.choice([1, 3, 30]))

    def entry(image: int) -> Json:
        low, high = sorted(rng.choice(GRID + 1, 2, replace=False).tolist())
        pixels = np.zeros((2, GRID), np.uint8, order="F")
        pixels[:, low:high] = rng.random() > 0.03
        rle = masks.encode(pixels)
        return {
            "image_id": image,
            "category_id": int(rng.choice(classes)),
            "bbox": [float(low), 0.0, float(high - low), 2.0],
            "segmentation": {"size": [2, GRID], "counts": rle["counts"].decode()},
        }

    objects, results = [], []
    for image in images:
        for _ in range(rng.integers(0, 7)):
            objects.append(entry(image) | {"area": 1.0, "iscrowd": int(rng.random() < 0.2), "id": len(objects) + 1})
        for _ in range(rng.integers(0, 25)):
            result = entry(image) | {"score": float(rng.integers(0, levels) / levels)}
            results.append(result if rng.random() < 0.95 else result | {"category_id": int(rng.integers(11, 13))})
    documents = [{"id": image, "height": 2, "width": GRID} for image in images]
    for document in documents if federated else []:
        document["neg_category_ids"] = [c for c in classes if rng.random() < 0.4]
        document["not_exhaustive_category_ids"] = [c for c in classes if rng.random() < 0.2]
    annotations = {
        "images": documents,
        "annotations": [objects[k] for k in rng.permutation(len(objects))],
        "categories": [{"id": c, "name": str(c), "frequency": "f"} for c in classes],
    }
    return annotations, [results[k] for k in rng.permutation(len(results))]


def check(annotations: Json, results: list[Json], iou_type: str, limit: int | None = None) -> float:
    """Our figures, once from the package's own overlaps and once from pycocotools', are tidecv's."""
    theirs = tidecv(annotations, results, iou_type, limit)
    from_file = overlaps(load_ground_truth(annotations), results, iou_type, all_classes=True)
    from_pycocotools = pycocotools_overlaps(annotations, results, iou_type)
    return max(assert_same(tide(pairs), theirs) for pairs in (from_file, from_pycocotools))


def sweep(seeds: range, federated: bool) -> None:
    """Masks and boxes of both generators in turn."""
    problem = lvis_problem if federated else coco_problem
    for seed in seeds:
        iou_type = ("segm", "bbox")[seed % 2]
        check(*grid_problem(seed, federated), iou_type)
        check(*problem(seed, iou_type), iou_type)


@pytest.mark.parametrize("federated", [True, False], ids=["lvis", "coco"])
def test_small_problems(federated):
    sweep(range(30), federated)


@pytest.mark.slow
@pytest.mark.parametrize("federated", [True, False], ids=["lvis", "coco"])
def test_many_small_problems(federated):
    sweep(range(30, 400 if federated else 200), federated)


@pytest.mark.parametrize("federated", [True, False], ids=["lvis", "coco"])
def test_more_detections_than_the_limit(monkeypatch, federated):
    for seed in range(10):
        monkeypatch.setitem(DETECTIONS_PER_IMAGE, "lvis" if federated else "coco", 5)
        check(*grid_problem(seed, federated), "bbox", limit=5)


def real(name: str) -> Any:
    return json.loads((DATA / name).read_text())


@needs_data
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_coco_results(iou_type):
    check(
        real("coco_eval/instances_val2014_100.json"),
        real(f"coco_eval/instances_val2014_fake{iou_type}100_results.json"),
        iou_type,
    )


@needs_data
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_coco_annotations_more_than_100_an_image(iou_type):
    annotations = real("coco_mini/instances_val.json")
    check(annotations, boxed(detections_around(annotations, 130, seed=1)), iou_type)


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_lvis_annotations_more_than_300_an_image(iou_type):
    annotations = real("lvis/lvis_val_100.json")
    check(annotations, boxed(detections_around(annotations, 340, seed=2)), iou_type)


def boxed(results: list[Json]) -> list[Json]:
    """With the boxes of their masks."""
    boxes = masks.toBbox([result["segmentation"] for result in results])
    return [result | {"bbox": box.tolist()} for result, box in zip(results, boxes, strict=True)]
