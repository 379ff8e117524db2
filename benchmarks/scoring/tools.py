"""One scoring tool, run once, in a process of its own: ``measure`` starts this and reads the figures that it prints.

    python -m benchmarks.scoring.tools TOOL KIND ANNOTATIONS DETECTIONS

KIND is lvis-segm, lvis-bbox, coco-segm, coco-bbox or tide. Each tool is used as its own README says.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from typing import Any

Figures = dict[str, float | None]
LVIS_FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")
COCO_FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR", "ARs", "ARm", "ARl")


def lvis_api(kind: str, annotations: str, detections: str) -> Figures:
    """lvis 0.5.3, LVIS's reference; it was written for a numpy that had ``np.float``."""
    import logging

    import numpy as np

    np.float = float  # this process runs nothing else
    from lvis import LVIS, LVISEval, LVISResults

    logging.disable(logging.WARNING)
    truth = LVIS(annotations)
    evaluation = LVISEval(truth, LVISResults(truth, detections), iou_of(kind))
    evaluation.run()
    return {name: float(evaluation.results[name]) for name in LVIS_FIGURES}


def pycocotools(kind: str, annotations: str, detections: str) -> Figures:
    """COCO's reference."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(annotations)
    return _coco(COCOeval(truth, truth.loadRes(detections), iou_of(kind)))


def faster_coco_eval(kind: str, annotations: str, detections: str) -> Figures:
    """faster-coco-eval, in its LVIS style where that is asked for; there its input is put right first.

    It caps a class in an image, not images, fails where all detections of an image are dropped, and keeps empty masks.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(annotations)
    quiet: dict[str, Any] = {"print_function": lambda *_: None}
    if kind.startswith("coco"):
        return _coco(COCOeval_faster(truth, truth.loadRes(detections), iou_of(kind), **quiet))
    results = truth.loadRes(_judged(truth.dataset, detections))
    evaluation = COCOeval_faster(truth, results, iou_of(kind), lvis_style=True, **quiet)
    evaluation.params.maxDets = [300]
    evaluation.run()
    found = evaluation.stats_as_dict
    names = {"AP": "AP_all", "AP50": "AP_50", "AP75": "AP_75", "APs": "AP_small", "APm": "AP_medium", "APl": "AP_large"}
    return {name: found[names.get(name, name)] for name in LVIS_FIGURES}


def _judged(dataset: dict[str, Any], detections: str) -> list[dict[str, Any]]:
    """The best 300 detections of each image, without those that LVIS does not judge."""
    from pycocotools import mask

    with open(detections) as stream:
        entries = json.load(stream)
    judged = {(image["id"], c) for image in dataset["images"] for c in image["neg_category_ids"]}
    judged |= {(entry["image_id"], entry["category_id"]) for entry in dataset["annotations"]}
    by_image: dict[int, list[dict[str, Any]]] = {}
    for entry in entries:
        by_image.setdefault(entry["image_id"], []).append(entry)
    return [
        entry
        for own in by_image.values()
        for entry in sorted(own, key=lambda entry: -entry["score"])[:300]
        if (entry["image_id"], entry["category_id"]) in judged
        and ("segmentation" not in entry or mask.area(entry["segmentation"]))
    ]


def hotcoco(kind: str, annotations: str, detections: str) -> Figures:
    """hotcoco, the fastest of the others, written in Rust."""
    from hotcoco import COCO, COCOeval, LVISEval, LVISResults

    truth = COCO(annotations)
    if kind.startswith("coco"):
        return _coco(COCOeval(truth, truth.load_res(detections), iou_of(kind)))
    evaluation = LVISEval(truth, LVISResults(truth, detections), iou_of(kind))
    evaluation.run()
    found = evaluation.get_results()
    return {name: float(found[name]) for name in LVIS_FIGURES}


def tidecv(kind: str, annotations: str, detections: str) -> Figures:
    """tidecv 1.0.1, masks; it wants a folder of its own and a display, or to be told that there is none."""
    import os
    import tempfile

    os.environ |= {"MPLBACKEND": "Agg", "TIDE_PATH": tempfile.mkdtemp()}
    from tidecv import TIDE, datasets

    truth, results = datasets.LVIS(annotations), datasets.LVISResult(detections)
    tide = TIDE()
    tide.evaluate(truth, results, mode=TIDE.MASK)
    (errors,) = tide.get_main_errors().values()
    return {name.lower(): float(value) for name, value in errors.items()}


def fasa(kind: str, annotations: str, detections: str) -> Figures:
    """Ours."""
    from fasa.evaluation import average_precision, tide_errors

    if kind == "tide":
        return dict(tide_errors(annotations, detections))
    found = average_precision(annotations, detections, iou_of(kind))
    return {name: found[name] for name in (LVIS_FIGURES if kind.startswith("lvis") else COCO_FIGURES)}


def iou_of(kind: str) -> str:
    """The official tools' ``iouType``."""
    return kind.partition("-")[2]


def _coco(evaluation: Any) -> Figures:
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return dict(zip(COCO_FIGURES, map(float, evaluation.stats[:12]), strict=True))


TOOLS: dict[str, Callable[[str, str, str], Figures]] = {
    "lvis-api": lvis_api,
    "pycocotools": pycocotools,
    "faster-coco-eval": faster_coco_eval,
    "hotcoco": hotcoco,
    "tidecv": tidecv,
    "fasa": fasa,
}


def main() -> None:
    """Print the figures as a line of JSON."""
    tool, *rest = sys.argv[1:]
    with contextlib.redirect_stdout(io.StringIO()):
        figures = TOOLS[tool](*rest)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
