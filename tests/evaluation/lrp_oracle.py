"""oLRP from its formula (Oksuz et al. 2021, eq 2), on the matches of lvis-api and pycocotools."""

from __future__ import annotations

import contextlib
import copy
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from oracles import _lvis, _without_boxes, best_of_classes, lvis_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Json = dict[str, Any]
TAU = 0.5


@dataclass(frozen=True)
class Optimum:
    """A class's figures; NaN: absent."""

    olrp: float
    loc: float
    fp: float
    fn: float
    score: float


def lvis_optima(annotations: Json, results: list[Json], iou_type: str, fixed: bool = False) -> list[Optimum]:
    """Of every class, in the order of their ids; ``fixed``: of AP-Fixed's detections."""
    results = _without_boxes(results, iou_type)
    with lvis_api() as lvis:
        results = best_of_classes(results, 10_000) if fixed else results
        evaluation, _ = _lvis(lvis, annotations, results, iou_type, -1 if fixed else 300)
    names = ("dt_matches", "dt_ignore", "dt_scores", "gt_ignore")
    return _optima(evaluation, evaluation.eval_imgs, evaluation.params.cat_ids, evaluation.params.img_ids, names)


def coco_optima(annotations: Json, results: list[Json], iou_type: str) -> list[Optimum]:
    """Of every class, in the order of their ids."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, **copy.deepcopy(annotations)}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(_without_boxes(results, iou_type)), iou_type)
        evaluation.evaluate()
    names = ("dtMatches", "dtIgnore", "dtScores", "gtIgnore")
    return _optima(evaluation, evaluation.evalImgs, evaluation.params.catIds, evaluation.params.imgIds, names)


def _optima(
    evaluation: Any, images: list[Json | None], classes: list[int], image_ids: list[int], names: tuple[str, ...]
) -> list[Optimum]:
    """Of all sizes, which is the first of four area ranges."""
    found = []
    for k, category in enumerate(classes):
        truths, detections = 0, []
        for i, image in enumerate(image_ids):
            one = images[k * 4 * len(image_ids) + i]
            if one is None:
                continue
            matches, ignored, scores, truth_ignored = (one[name] for name in names)
            truths += int(np.sum(np.asarray(truth_ignored) == 0))
            ids = [entry["id"] for entry in evaluation._gts[image, category]]
            for d, score in enumerate(scores):
                if ignored[0, d]:
                    detections.append((score, None))
                elif matches[0, d]:
                    detections.append((score, evaluation.ious[image, category][d][ids.index(matches[0, d])]))
                else:
                    detections.append((score, 0.0))
        found.append(_optimum(sorted(detections, key=lambda one: -one[0]), truths))
    return found


def _optimum(detections: list[tuple[float, float | None]], truths: int) -> Optimum:
    """The first lowest LRP of detections, best first: IoU of a true positive, 0 of a false one, None of neither.

    Sums are in the order of the authors' numpy, for rounding decides between scores whose errors are equal.
    """
    if not truths:
        return Optimum(*[math.nan] * 5)
    best = Optimum(math.inf, 0, 0, 0, 0)
    true, false, overlap = 0, 0, 0.0
    for score, iou in detections:
        if iou:
            true, overlap = true + 1, overlap + iou
        elif iou is not None:
            false += 1
        missed = truths - true
        error = ((true - overlap) / (1 - TAU) + false + missed) / (true + false + missed)
        if error < best.olrp:
            loc = (true - overlap) / true if true else math.nan
            fp = false / (true + false) if true or false else math.nan
            best = Optimum(error, loc, fp, missed / truths, score)
    return best if true else Optimum(1.0, math.nan, math.nan, 1.0, math.nan)
