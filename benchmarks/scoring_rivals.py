"""One scoring tool, run once, in a process of its own: `scoring.py` starts this and reads the line of JSON it prints.

    python -m benchmarks.scoring_rivals TOOL ANNOTATIONS DETECTIONS

Imports are not timed. Everything from the two files to the figures is, in two phases: `load` (the files into the tool's
own structures) and `evaluate`.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Figures = dict[str, float | None]
AP_FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR")
TIDE_FIGURES = ("cls", "loc", "both", "dupe", "bkg", "miss")


class Clock:
    """Wall and CPU seconds of each phase, CPU over all threads."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[name] = self.wall.get(name, 0) + time.perf_counter() - wall
        self.cpu[name] = self.cpu.get(name, 0) + time.process_time() - cpu


def lvis_api(clock: Clock, annotations: str, detections: str) -> Figures:
    """lvis 0.5.3, the reference; it was written for a numpy that had ``np.float``."""
    import logging

    import numpy as np

    np.float = float  # this process runs nothing else
    from lvis import LVIS, LVISEval, LVISResults

    logging.disable(logging.WARNING)
    with clock.phase("load"):
        truth = LVIS(annotations)
        results = LVISResults(truth, detections)
    with clock.phase("evaluate"):
        evaluation = LVISEval(truth, results, "segm")
        evaluation.run()
    return {name.split("@")[0]: float(value) for name, value in evaluation.results.items()}


def faster_coco_eval(clock: Clock, annotations: str, detections: str) -> Figures:
    """faster-coco-eval's LVIS style; where it departs from LVIS its input is put right, which counts as loading.

    It caps a class in an image, not images, fails where all detections of an image are dropped, and keeps empty masks.
    """
    from faster_coco_eval import COCO, COCOeval_faster
    from pycocotools import mask

    with clock.phase("load"):
        truth = COCO(annotations)
        with open(detections) as stream:
            entries = json.load(stream)
        judged = {(image["id"], c) for image in truth.dataset["images"] for c in image["neg_category_ids"]}
        judged |= {(entry["image_id"], entry["category_id"]) for entry in truth.dataset["annotations"]}
        by_image: dict[int, list[dict[str, Any]]] = {}
        for entry in entries:
            by_image.setdefault(entry["image_id"], []).append(entry)
        kept = [
            entry
            for own in by_image.values()
            for entry in sorted(own, key=lambda entry: -entry["score"])[:300]
            if (entry["image_id"], entry["category_id"]) in judged and mask.area(entry["segmentation"])
        ]
        results = truth.loadRes(kept)
    with clock.phase("evaluate"):
        evaluation = COCOeval_faster(truth, results, "segm", lvis_style=True, print_function=lambda *_: None)
        evaluation.params.maxDets = [300]
        evaluation.run()
    found = evaluation.stats_as_dict
    names = {"AP": "AP_all", "AP50": "AP_50", "AP75": "AP_75", "APs": "AP_small", "APm": "AP_medium", "APl": "AP_large"}
    return {name: found[names.get(name, name)] for name in AP_FIGURES if name != "AR"}


def tidecv(clock: Clock, annotations: str, detections: str) -> Figures:
    """tidecv 1.0.1, masks; it wants a folder of its own and a display, or to be told that there is none."""
    import os
    import tempfile

    os.environ |= {"MPLBACKEND": "Agg", "TIDE_PATH": tempfile.mkdtemp()}
    from tidecv import TIDE, datasets

    with clock.phase("load"):
        truth, results = datasets.LVIS(annotations), datasets.LVISResult(detections)
    with clock.phase("evaluate"):
        tide = TIDE()
        tide.evaluate(truth, results, mode=TIDE.MASK)
        (errors,) = tide.get_main_errors().values()
    return {name.lower(): float(value) for name, value in errors.items()}


def fasa(clock: Clock, annotations: str, detections: str) -> Figures:
    """LVIS AP as `fasa score` gets it: detections are read and compared in one pass, so only annotations are loaded."""
    from fasa.evaluation import evaluate, load_ground_truth, overlaps

    with clock.phase("load"):
        truth = load_ground_truth(annotations)
    with clock.phase("evaluate"):
        return evaluate(overlaps(truth, detections)).summary


def fasa_columns(clock: Clock, annotations: str, detections: str) -> Figures:
    """LVIS AP with the detections read beforehand, to set the phases beside the rivals'."""
    from fasa.evaluation import evaluate, load_detections, load_ground_truth, overlaps

    with clock.phase("load"):
        truth, columns = load_ground_truth(annotations), load_detections(detections)
    with clock.phase("evaluate"):
        return evaluate(overlaps(truth, columns)).summary


def fasa_fixed_pool(clock: Clock, annotations: str, detections: str) -> Figures:
    """AP-Fixed and AP-Pool together, from one pass."""
    from fasa.evaluation import evaluate, load_ground_truth, match, overlaps

    with clock.phase("load"):
        truth = load_ground_truth(annotations)
    with clock.phase("evaluate"):
        matches = match(overlaps(truth, detections), "fixed")
        fixed, pool = evaluate(matches, "fixed").summary, evaluate(matches, "pool").summary
    return fixed | {f"pool {name}": value for name, value in pool.items()}


def fasa_tide(clock: Clock, annotations: str, detections: str) -> Figures:
    from fasa.evaluation import load_ground_truth, overlaps, tide

    with clock.phase("load"):
        truth = load_ground_truth(annotations)
    with clock.phase("evaluate"):
        return tide(overlaps(truth, detections, all_classes=True)).errors


TOOLS: dict[str, Callable[[Clock, str, str], Figures]] = {
    "lvis-api": lvis_api,
    "faster-coco-eval": faster_coco_eval,
    "tidecv": tidecv,
    "fasa": fasa,
    "fasa-columns": fasa_columns,
    "fasa-fixed-pool": fasa_fixed_pool,
    "fasa-tide": fasa_tide,
}


def main() -> None:
    tool, annotations, detections = sys.argv[1:]
    clock = Clock()
    with contextlib.redirect_stdout(io.StringIO()):
        figures = TOOLS[tool](clock, annotations, detections)
    print(json.dumps({"wall": clock.wall, "cpu": clock.cpu, "figures": figures}))


if __name__ == "__main__":
    main()
