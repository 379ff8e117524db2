"""Optimal LRP against its formula, class by class, on the official tools' matches, with ``==``; and its means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import coco_problem, lvis_problem, seeds
from evaluation_toys import refused
from lrp_oracle import Optimum, coco_optima, lvis_optima

from fasa.evaluation import load_ground_truth, localisation_recall_precision, match, optimal_lrp, overlaps
from fasa.evaluation.metrics.lrp import OptimalLRP

SEEDS = seeds(40)
COLUMNS = ("oLRP", "oLRP_loc", "oLRP_fp", "oLRP_fn", "oLRP_score")


def same(found: OptimalLRP, expected: list[Optimum]) -> None:
    ours = np.stack([found.per_class[name] for name in COLUMNS], axis=1)
    theirs = np.array([[o.olrp, o.loc, o.fp, o.fn, o.score] for o in expected])
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("seed", SEEDS)
def test_lvis(seed, iou_type):
    annotations, results = lvis_problem(seed, iou_type)
    truth = load_ground_truth(annotations)
    found = overlaps(truth, results, iou_type)
    of_all_pairs = optimal_lrp(match(overlaps(truth, results, iou_type, all_classes=True)))
    mine = optimal_lrp(match(found))
    same(mine, lvis_optima(annotations, results, iou_type))
    same(optimal_lrp(match(found, "fixed")), lvis_optima(annotations, results, iou_type, fixed=True))
    assert mine.summary == of_all_pairs.summary == localisation_recall_precision(annotations, results, iou_type)


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("seed", SEEDS)
def test_coco(seed, iou_type):
    annotations, results = coco_problem(seed, iou_type)
    found = overlaps(load_ground_truth(annotations), results, iou_type)
    same(optimal_lrp(match(found)), coco_optima(annotations, results, iou_type))


@pytest.mark.parametrize("seed", range(10))
def test_means_are_of_the_classes_that_have_the_figure(seed):
    annotations, results = lvis_problem(seed)
    truth = load_ground_truth(annotations)
    found = optimal_lrp(match(overlaps(truth, results)))
    assert list(found.summary)[:5] == ["oLRP", "oLRP_loc", "oLRP_fp", "oLRP_fn", "oLRPr"]
    for letter in ("", "r", "c", "f"):
        some = [letter in ("", one) for one in truth.frequencies]
        for part in ("", "_loc", "_fp", "_fn"):
            values = [v for v in found.per_class[f"oLRP{part}"][some].tolist() if not math.isnan(v)]
            figure = found.summary[f"oLRP{letter}{part}"]
            assert figure == (pytest.approx(sum(values) / len(values)) if values else None)


def test_a_class_without_a_true_positive_is_all_error():
    annotations, _ = lvis_problem(4)
    truth = load_ground_truth(annotations)
    there = np.bincount(truth.category[~truth.ignore], minlength=len(truth.category_ids)) > 0
    found = optimal_lrp(match(overlaps(truth, [])))
    assert found.summary["oLRP"] == found.summary["oLRP_fn"] == 1.0
    assert found.summary["oLRP_loc"] is found.summary["oLRP_fp"] is None
    assert np.array_equal(found.per_class["oLRP"] == 1, there) and np.isnan(found.per_class["oLRP_score"]).all()
    perfect = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "score": 0.5, "bbox": a["bbox"]}
        for a in annotations["annotations"]
    ]
    summary = localisation_recall_precision(annotations, perfect, "bbox")
    assert summary["oLRP_fn"] == 0.0 and summary["oLRP"] < 0.3


def test_pools_have_no_classes():
    assert "AP-Pool has no figures by class" in refused(
        localisation_recall_precision, *lvis_problem(0), protocol="pool"
    )
