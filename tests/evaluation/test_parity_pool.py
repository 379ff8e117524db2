"""AP-Pool against two readings of its definition, both made of lvis-api: relabelled images, and pooled matches."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cases import detections_around, lvis_problem, seeds
from oracles import POOLS, figures, pool_by_concatenation, pool_by_relabelling

from fasa.evaluation import evaluate, load_ground_truth, overlaps
from fasa.evaluation.metrics import matching

SEEDS = seeds(50)


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("seed", SEEDS)
def test_problems_full_of_ties(seed: int, iou_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = (15, 4, 10_000)[seed % 3]
    monkeypatch.setattr(matching, "CLASS_LIMIT", limit)
    annotations, results = lvis_problem(seed, iou_type)
    pool = evaluate(overlaps(load_ground_truth(annotations), results, iou_type), "pool")
    relabelled = pool_by_relabelling(annotations, results, iou_type, limit)
    assert figures(pool.summary) == relabelled
    assert relabelled == pool_by_concatenation(annotations, results, iou_type, limit)
    assert pool.precision is None and pool.recall is None


def test_a_pool_of_one_class_is_that_class() -> None:
    """With a single class AP-Pool and AP-Fixed are the same number, by definition."""
    annotations, results = lvis_problem(1)
    only = annotations["annotations"][0]["category_id"]
    for name, key in (("categories", "id"), ("annotations", "category_id")):
        annotations[name] = [entry for entry in annotations[name] if entry[key] == only]
    found = overlaps(load_ground_truth(annotations), results)
    pool = evaluate(found, "pool").summary["AP"]
    assert pool and pool == evaluate(found, "fixed").summary["AP"]


@pytest.mark.slow
def test_real_annotations() -> None:
    path = Path(os.environ.get("FASA_TEST_DATA", "")) / "lvis/lvis_val_100.json"
    if not os.environ.get("FASA_TEST_DATA") or not path.exists():
        pytest.skip("FASA_TEST_DATA names no folder with lvis/lvis_val_100.json")
    annotations = json.loads(path.read_text())
    results = detections_around(annotations, 150, seed=9)
    pool = evaluate(overlaps(load_ground_truth(annotations), results), "pool")
    official = pool_by_relabelling(annotations, results)
    assert all(official[name] > 0.01 for name in POOLS)
    assert figures(pool.summary) == official == pool_by_concatenation(annotations, results)
