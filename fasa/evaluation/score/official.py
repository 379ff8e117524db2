"""The official tools, run as they are: lvis-api, pycocotools and tidecv. Slow and large; only for ``--verify``.

They are given plain JSON, whatever the user's files are, and nothing is given twice: they write into their inputs.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import io
import json
import logging
import shutil
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask

from fasa.errors import UserError
from fasa.evaluation.io.detection_columns import Detections
from fasa.evaluation.io.detections import load_detections
from fasa.evaluation.io.files import GZIP
from fasa.evaluation.io.ground_truth import GroundTruth
from fasa.evaluation.io.writer import write_results_json

PER_CLASS = 10_000  # detections of a class, for AP-Fixed and AP-Pool
COCO_KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR", "ARs", "ARm", "ARl")  # of COCOeval.stats
ERRORS = {"Cls": "cls", "Loc": "loc", "Both": "both", "Dupe": "dupe", "Bkg": "bkg", "Miss": "miss"}  # tidecv's: ours
SPECIAL = {"FalsePos": "false_positive", "FalseNeg": "false_negative"}

Entries = Callable[[], list[dict[str, Any]]]  # a new list at each call


@dataclass(frozen=True)
class Official:
    """What one tool says: figures (None: its -1) and its tables, shaped as ``fasa.evaluation.Evaluation``'s."""

    tool: str
    summary: dict[str, float | None]
    precision: np.ndarray | None = None
    recall: np.ndarray | None = None


def lvis_api(annotations: Path, entries: Entries, iou_type: str, protocols: Sequence[str]) -> dict[str, Official]:
    """Figures by protocol. AP-Fixed and AP-Pool share their matching."""
    with _quiet():
        from lvis import LVIS, LVISEval, LVISResults

    def run(results: list[dict[str, Any]], max_dets: int) -> Any:
        truth = LVIS(str(annotations))
        evaluator = LVISEval(truth, LVISResults(truth, results, max_dets), iou_type)
        evaluator.run()
        return evaluator

    found = {}
    tool = f"lvis {_version('lvis')}"
    with _quiet(), _numpy_float():
        if "standard" in protocols:
            found["standard"] = _lvis_figures(tool, run(entries(), max_dets=300))
        if {"fixed", "pool"} & set(protocols):
            # large-vocab-devil, scripts/evaluate_ap_fixed.py: the best of each class, then no limit an image
            evaluator = run(_best_of_each_class(entries()), max_dets=-1)
            if "fixed" in protocols:
                found["fixed"] = _lvis_figures(tool, evaluator)
            if "pool" in protocols:
                found["pool"] = _pools(tool, evaluator)
    return found


def _best_of_each_class(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_class = defaultdict(list)
    for entry in results:
        by_class[entry["category_id"]].append(entry)
    return [e for c in by_class.values() for e in sorted(c, key=lambda e: e["score"], reverse=True)[:PER_CLASS]]


def _lvis_figures(tool: str, evaluator: Any) -> Official:
    summary = {name.split("@")[0]: _none(value) for name, value in evaluator.get_results().items()}
    return Official(tool, summary, evaluator.eval["precision"], evaluator.eval["recall"])


def _pools(tool: str, evaluator: Any) -> Official:
    """AP-Pool: lvis-api's own matches of every image, accumulated by lvis-api as if a pool's classes were one.

    large-vocab-devil's LVISPooledEval does the same: image by image, in each class by class, area "all".
    """
    params = evaluator.params
    images, areas = len(params.img_ids), len(params.area_rng)
    everything = range(len(params.cat_ids))
    pools = {"AP": everything, **dict(zip(("APr", "APc", "APf"), evaluator.freq_groups, strict=True))}
    summary = {}
    for name, classes in pools.items():
        one = copy.copy(evaluator)
        one.params = copy.copy(params)
        one.eval_imgs = [evaluator.eval_imgs[k * areas * images + i] for i in range(images) for k in classes]
        one.params.cat_ids, one.params.area_rng, one.params.img_ids = [0], [params.area_rng[0]], one.eval_imgs
        one.accumulate()
        precision = one.eval["precision"]
        summary[name] = _mean(precision)
    return Official(f"{tool}'s matches, pooled", summary)


def pycocotools(
    annotations: Path, entries: Entries, iou_type: str, bins: Sequence[tuple[str, np.ndarray]] = ()
) -> Official:
    """COCO's twelve figures, and for each of ``bins`` (a name, bool (K,)) the mean AP of its classes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with _quiet():
        truth = COCO(str(annotations))
        evaluator = COCOeval(truth, truth.loadRes(entries()), iou_type)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    summary = dict(zip(COCO_KEYS, map(_none, evaluator.stats), strict=True))
    precision = evaluator.eval["precision"][..., -1]  # at 100 detections
    for name, classes in bins:
        summary[name] = _mean(precision[:, :, classes, 0])
    return Official(f"pycocotools {_version('pycocotools')}", summary, precision, evaluator.eval["recall"][..., -1])


def tidecv(annotations: Path, detections: Path, kind: str, iou_type: str) -> Official:
    """TIDE's figures in points, and counts, named as in ``fasa.evaluation.Tide``.

    Without ``tidecv.TIDE``, which sets up plots; it does no more than this.
    """
    with _quiet():
        from tidecv import datasets
        from tidecv.errors.qualifiers import Qualifier
        from tidecv.quantify import TIDE, TIDERun

        if kind == "lvis":
            truth, found = datasets.LVIS(str(annotations)), datasets.LVISResult(str(detections))
        else:
            truth, found = datasets.COCO(str(annotations)), datasets.COCOResult(str(detections))
        run = TIDERun(truth, found, 0.5, 0.1, TIDE.MASK if iou_type == "segm" else TIDE.BOX, truth.max_dets)
        counts = {error.short_name: count for error, count in run.count_errors().items()}
        main = {error.short_name: points for error, points in run.fix_main_errors().items()}
        special = {error.short_name: points for error, points in run.fix_special_errors().items()}

        # The same curves, averaged over the classes with truth.
        with_truth = [c for c, ap in run.ap_data.objs.items() if ap.num_gt_positives]
        everyone = Qualifier("", None)
        repaired = {e.short_name: run.fix_errors(everyone._make_error_func(e)) for e in TIDE._error_types}
        spared = {
            "FalsePos": run.fix_errors(transform=TIDE._special_error_types[0].fix),
            "FalseNeg": run.fix_errors(false_neg_dict=run.false_negatives),
        }

        def over_truth(data: Any) -> float:
            return sum(data.objs[c].get_ap() for c in with_truth) / max(1, len(with_truth))

        base = over_truth(run.ap_data)
        summary = {
            "AP": run.ap,
            "AP over classes with truth": base,
            "classes": sum(not ap.is_empty() for ap in run.ap_data.objs.values()),
            "classes with truth": len(with_truth),
        }
        for theirs, ours in ERRORS.items():
            summary[ours], summary[f"{ours} count"] = main[theirs], counts[theirs]
            summary[f"{ours} over classes with truth"] = max(over_truth(repaired[theirs]) - base, 0)
        for theirs, ours in SPECIAL.items():
            summary[ours] = special[theirs]
            summary[f"{ours} over classes with truth"] = over_truth(spared[theirs]) - base
    return Official(f"tidecv {_version('tidecv')}", summary)


def _mean(table: np.ndarray) -> float | None:
    """Mean of the entries that are present; None where there are none."""
    present = table[table > -1]
    return float(np.mean(present)) if len(present) else None


def _none(value: float) -> float | None:
    """The tools' -1, which stands for no ground truth, as None."""
    return None if value == -1 else float(value)


@contextlib.contextmanager
def _numpy_float() -> Iterator[None]:
    """``np.float``, which lvis 0.5.3 uses and numpy dropped in 1.24, for as long as it is needed."""
    missing = not hasattr(np, "float")
    if missing:
        np.float = float  # type: ignore[attr-defined]  # numpy has no such name any more
    try:
        yield
    finally:
        if missing:
            del np.float  # type: ignore[attr-defined]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The tools print and log as they go; ``fasa score --json`` promises nothing but JSON."""
    logger, root = logging.getLogger("lvis"), logging.getLogger()
    level, handlers = logger.level, root.handlers[:]
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        root.handlers[:] = handlers  # importing lvis adds one


def plain_json(annotations: Path, detections: Path, folder: Path, truth: GroundTruth) -> tuple[Path, Path]:
    """The two files as uncompressed JSON, with the images of ``truth`` alone: themselves, or copies in ``folder``.

    Raises:
        UserError: the annotations are not JSON.
    """
    refuse_npz(annotations)
    if zipfile.is_zipfile(detections):
        copy = folder / "detections.json"
        write_results_json(_complete(load_detections(detections)), copy)
    else:
        copy = _unzipped(detections, folder / "detections.json")
    plain = _unzipped(annotations, folder / "annotations.json")
    return _cut(plain, copy, folder, truth) if truth.subset else (plain, copy)


def _cut(annotations: Path, detections: Path, folder: Path, truth: GroundTruth) -> tuple[Path, Path]:
    kept = set(truth.image_ids.tolist())
    document, listed = json.loads(annotations.read_bytes()), json.loads(detections.read_bytes())
    document["images"] = [image for image in document["images"] if image["id"] in kept]
    document["annotations"] = [entry for entry in document["annotations"] if entry["image_id"] in kept]
    paths = folder / "cut-annotations.json", folder / "cut-detections.json"
    for path, content in zip(paths, (document, [e for e in listed if e["image_id"] in kept]), strict=True):
        path.write_text(json.dumps(content))
    return paths


def _complete(detections: Detections) -> Detections:
    """Under "verified", what has neither mask nor box gets an empty box; ``result_entries`` makes it an empty mask."""
    if detections.policy == "all":
        return detections
    box = np.full((len(detections), 4), np.nan) if detections.box is None else detections.box.copy()
    if (masks := detections.masks) is not None:
        box[(masks.area < 0) & np.isnan(box[:, 0])] = 0
    return replace(detections, box=box, policy="all")


def refuse_npz(annotations: Path) -> None:
    """Raise a UserError if ``annotations`` is our own .npz."""
    if zipfile.is_zipfile(annotations):
        raise UserError(
            f"{annotations} is not JSON, which the official tools need; verify with the original annotations."
        )


def _unzipped(path: Path, destination: Path) -> Path:
    with path.open("rb") as stream:
        if stream.read(2) != GZIP:
            return path
    with gzip.open(path) as packed, destination.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    return destination


def result_entries(detections: Path, name: str, iou_type: str, areas: str, truth: GroundTruth) -> list[dict[str, Any]]:
    """A fresh list of the entries: lvis-api and pycocotools write into it, so that a second use would differ.

    Mask results lose their "bbox" unless ``areas`` is "box", as in Dave et al.'s scripts: lvis-api takes its area else.
    Masks that were not kept, because no metric looks at them (policy "verified"), become empty ones; a box stands in
    for none.
    """
    listed = json.loads(detections.read_bytes())
    if not listed:
        raise UserError(f"{name} holds no detections, and the official tools cannot read an empty list.")
    if iou_type == "segm":
        sizes = dict(zip(truth.image_ids.tolist(), truth.image_sizes.tolist(), strict=True))
        for entry in listed:
            if areas == "mask":
                entry.pop("bbox", None)
            if entry.get("segmentation") is None:
                height, width = sizes[entry["image_id"]]
                entry["segmentation"] = _empty(height, width)
    return listed


def _empty(height: int, width: int) -> dict[str, Any]:
    return mask.encode(np.zeros((height, width), np.uint8, order="F"))


def for_tidecv(
    annotations: Path, detections: Path, folder: Path, iou_type: str, truth: GroundTruth
) -> tuple[Path, Path]:
    """The two files as tidecv needs them: copies in ``folder`` with what is missing and no figure depends on.

    Annotations get names; boxes, which the other tools take from masks, are put into detections. LVIS annotations with
    an area of 0 or less are left out, as lvis-api does and tidecv does not.
    """
    document = json.loads(annotations.read_bytes())
    for part, field, value in (
        ("images", "coco_url", ""),
        ("images", "file_name", ""),
        ("categories", "synset", ""),
        ("categories", "name", ""),
        ("annotations", "iscrowd", 0),
    ):
        for entry in document[part]:
            entry.setdefault(field, value)
    if truth.kind == "lvis":
        document["annotations"] = [a for a in document["annotations"] if a["area"] > 0]
    named = folder / "named.json"
    named.write_text(json.dumps(document))
    if iou_type == "segm":
        return named, detections
    listed = json.loads(detections.read_bytes())
    for entry in listed:
        if "bbox" not in entry:
            entry["bbox"] = mask.toBbox(entry["segmentation"]).tolist()
    boxed = folder / "boxed.json"
    boxed.write_text(json.dumps(listed))
    return named, boxed


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
