"""What the official tools say: lvis-api 0.5.3, pycocotools, and two readings of AP-Pool, none of them our own code.

They get deep copies, for they write into what they are given.
"""

from __future__ import annotations

import contextlib
import copy
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from official_lvis import lvis_api
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fasa.evaluation import Evaluation

Json = dict[str, Any]

POOLS = {"AP": "rcf", "APr": "r", "APc": "c", "APf": "f"}
COCO_FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR", "ARs", "ARm", "ARl")


@dataclass(frozen=True)
class Official:
    """A tool's tables, precision (T, R, K, A) and recall (T, K, A), and its figures; -1: no class has an object."""

    precision: np.ndarray
    recall: np.ndarray
    summary: dict[str, float]


def lvis_official(
    annotations: Json, results: list[Json], iou_type: str = "segm", max_dets: int = 300, area: str = "mask"
) -> Official:
    """lvis-api with at most ``max_dets`` detections an image (-1: no cap); ``area="box"``: mask results keep boxes."""
    with lvis_api() as lvis:
        return _lvis(lvis, annotations, _without_boxes(results, iou_type, area), iou_type, max_dets)[1]


def fixed_official(
    annotations: Json, results: list[Json], iou_type: str = "segm", limit: int = 10_000, area: str = "mask"
) -> Official:
    """AP-Fixed: the best ``limit`` of every class over all images, then lvis-api without a cap (Dave et al. 2021)."""
    with lvis_api() as lvis:
        best = best_of_classes(_without_boxes(results, iou_type, area), limit)
        return _lvis(lvis, annotations, best, iou_type, -1)[1]


def best_of_classes(results: list[Json], limit: int) -> list[Json]:
    """large-vocab-devil's cap: per class the first ``limit`` of a stable sort by score, unknown classes alike."""
    classes: dict[int, list[Json]] = {}
    for result in results:
        classes.setdefault(result["category_id"], []).append(result)
    ranked = [sorted(own, key=lambda result: result["score"], reverse=True) for own in classes.values()]
    return [result for own in ranked for result in own[:limit]]


def pool_by_relabelling(
    annotations: Json, results: list[Json], iou_type: str = "segm", limit: int = 10_000
) -> dict[str, float]:
    """AP-Pool without any code of its own: each judged (image, class) becomes an image with the one class there is."""
    best = best_of_classes(_without_boxes(results, iou_type), limit)
    frequency = {entry["id"]: entry["frequency"] for entry in annotations["categories"]}
    truths = [entry for entry in annotations["annotations"] if 0 < entry["area"] < np.inf]
    judged = {(entry["image_id"], entry["category_id"]) for entry in truths}
    judged |= {(i["id"], c) for i in annotations["images"] for c in i["neg_category_ids"] if c in frequency}
    images = {entry["id"]: entry for entry in annotations["images"]}
    pools = {}
    for name, letters in POOLS.items():
        number = {pair: n for n, pair in enumerate(sorted(p for p in judged if frequency[p[1]] in letters), start=1)}
        if not number:
            pools[name] = -1.0
            continue

        def relabel(entries: list[Json], number: dict[tuple[int, int], int] = number) -> list[Json]:
            pairs = [(number.get((entry["image_id"], entry["category_id"])), entry) for entry in entries]
            return [entry | {"image_id": n, "category_id": 1} for n, entry in pairs if n]

        pooled = {
            "images": [
                images[i] | {"id": n, "neg_category_ids": [1], "not_exhaustive_category_ids": [1] * _open(images[i], c)}
                for (i, c), n in number.items()
            ],
            "annotations": relabel(truths),
            "categories": [{"id": 1, "name": "any", "frequency": "f"}],
        }
        with lvis_api() as lvis:
            pools[name] = _lvis(lvis, pooled, relabel(best), iou_type, -1, areas=1)[1].summary["AP"]
    return pools


def pool_by_concatenation(
    annotations: Json, results: list[Json], iou_type: str = "segm", limit: int = 10_000
) -> dict[str, float]:
    """AP-Pool as large-vocab-devil has it: lvis-api's matches of a pool's classes in one list, lvis-api's formula."""
    with lvis_api() as lvis:
        best = best_of_classes(_without_boxes(results, iou_type), limit)
        evaluation, _ = _lvis(lvis, annotations, best, iou_type, -1, areas=1)
    params = evaluation.params
    matches = {(found["image_id"], found["category_id"]): found for found in evaluation.eval_imgs if found is not None}
    frequency = {entry["id"]: entry["frequency"] for entry in annotations["categories"]}
    pools = {}
    for name, letters in POOLS.items():
        pool = [matches[pair] for pair in sorted(matches) if frequency[pair[1]] in letters]
        truths = sum(np.count_nonzero(found["gt_ignore"] == 0) for found in pool)
        if not truths:
            pools[name] = -1.0
            continue
        order = np.argsort(-np.concatenate([found["dt_scores"] for found in pool]), kind="mergesort")
        matched = np.concatenate([found["dt_matches"] for found in pool], axis=1)[:, order] != 0
        ignored = np.concatenate([found["dt_ignore"] for found in pool], axis=1)[:, order] != 0
        precision = np.zeros((len(params.iou_thrs), len(params.rec_thrs), 1))
        for t in range(len(params.iou_thrs)):
            true = np.cumsum(matched[t] & ~ignored[t]).astype(float)
            false = np.cumsum(~matched[t] & ~ignored[t]).astype(float)
            curve = true / (false + true + np.spacing(1))
            envelope = np.maximum.accumulate(curve[::-1])[::-1]
            places = np.searchsorted(true / truths, params.rec_thrs, side="left")
            inside = places < len(envelope)
            precision[t, inside, 0] = envelope[places[inside]]
        pools[name] = float(np.mean(precision))
    return pools


def coco_official(
    annotations: Json,
    results: list[Json],
    iou_type: str = "segm",
    limits: tuple[int, int, int] = (1, 10, 100),
    area: str = "mask",
) -> Official:
    """pycocotools' tables at the largest cap an (image, class), and its twelve figures."""
    results = _without_boxes(results, iou_type, area)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, **copy.deepcopy(annotations)}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results or [_stray(annotations, iou_type)]), iou_type)
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision, recall = evaluation.eval["precision"][..., 2], evaluation.eval["recall"][..., 2]
    summary = dict(zip(COCO_FIGURES, (float(figure) for figure in evaluation.stats), strict=True))
    if limits[2] != 100:  # summarize() asks for a cap of 100 in its first line, whatever the caps are
        judged = precision[..., 0][precision[..., 0] > -1]
        summary["AP"] = float(np.mean(judged)) if judged.size else -1.0
    return Official(precision, recall, summary)


def assert_equal(evaluation: Evaluation, official: Official) -> None:
    """Every cell of both tables and every figure, to the last bit; our None is the tools' -1."""
    for name in ("precision", "recall"):
        ours, theirs = getattr(evaluation, name), getattr(official, name)
        assert ours.shape == theirs.shape
        unequal = np.argwhere(ours != theirs)
        assert not len(unequal), f"{name}: {len(unequal)} of {ours.size} cells, first at {unequal[0]}"
    assert {name: figures(evaluation.summary)[name] for name in official.summary} == official.summary


def figures(summary: dict[str, float | None]) -> dict[str, float]:
    """Our figures in the tools' words: -1 where no class has an object."""
    return {name: -1.0 if figure is None else figure for name, figure in summary.items()}


def _lvis(
    lvis: Any, annotations: Json, results: list[Json], iou_type: str, max_dets: int, areas: int = 4
) -> tuple[Any, Official]:
    """Run lvis-api on copies with the first ``areas`` area ranges; its evaluation object, and what it says."""

    class Annotations(lvis.LVIS):
        def _load_json(self, path: Json) -> Json:
            return path  # no file: the document itself

    truth = Annotations(copy.deepcopy(annotations))
    results = copy.deepcopy(results) or [_stray(annotations, iou_type)]
    evaluation = lvis.LVISEval(truth, lvis.LVISResults(truth, results, max_dets=max_dets), iou_type)
    evaluation.params.max_dets = max_dets
    evaluation.params.area_rng = evaluation.params.area_rng[:areas]
    evaluation.params.area_rng_lbl = evaluation.params.area_rng_lbl[:areas]
    evaluation.evaluate()
    evaluation.accumulate()
    if areas == 4:
        evaluation.summarize()
    else:
        evaluation.results["AP"] = evaluation._summarize("ap")
    summary = {name.split("@")[0]: float(figure) for name, figure in evaluation.results.items()}
    return evaluation, Official(evaluation.eval["precision"], evaluation.eval["recall"], summary)


def _without_boxes(results: list[Json], iou_type: str, area: str = "mask") -> list[Json]:
    """Copies; mask results lose their boxes, or both tools would take the box's area for the mask's."""
    results = copy.deepcopy(results)
    if iou_type == "segm" and area == "mask":
        for result in results:
            result.pop("bbox", None)
    return results


def _stray(annotations: Json, iou_type: str) -> Json:
    """A detection of no known class, which both tools drop: their loaders fail on an empty list."""
    image = annotations["images"][0]
    size = image["height"], image["width"]
    shape: Json = {"bbox": [0.0, 0.0, 1.0, 1.0]}
    if iou_type == "segm":
        shape = {"segmentation": mask.frPyObjects({"size": size, "counts": [size[0] * size[1]]}, *size)}
    return {"image_id": image["id"], "category_id": -1, "score": 0.0, **shape}


def _open(image: Json, category: int) -> bool:
    """Whether the class is not exhaustively annotated in the image."""
    return category in image["not_exhaustive_category_ids"]
