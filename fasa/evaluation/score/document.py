"""The result as a JSON document and as CSV: fractions (TIDE: points), null or blank where there is no ground truth."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fasa.csv_cells import as_text
from fasa.errors import UserError
from fasa.evaluation import Evaluation, GroundTruth
from fasa.evaluation.geometry.overlaps import BACKGROUND_IOU, MATCH_IOU
from fasa.evaluation.io.files import file_sha256
from fasa.evaluation.metrics.average_precision import RECALLS
from fasa.evaluation.metrics.bootstrap import LEVEL, Interval
from fasa.evaluation.metrics.matching import AREA_RANGES, CLASS_LIMIT, COCO_LIMITS, IMAGE_LIMIT, IOU_THRESHOLDS
from fasa.evaluation.metrics.tide import DETECTIONS_PER_IMAGE
from fasa.evaluation.score.scores import SEED, FileScores, ScoreRequest


def document(
    request: ScoreRequest, annotations: Path, truth: GroundTruth, files: Sequence[FileScores], seconds: float
) -> dict[str, Any]:
    """The request and every figure, of types that JSON has (no NaN, no numpy)."""
    from importlib.metadata import version  # takes a tenth of the command's start

    packages = ["fasa", "numpy", "numba", "pycocotools"]
    if request.verify:
        packages += ["lvis"] * (truth.kind == "lvis") + ["tidecv"] * request.tide
    return {
        "versions": {package: version(package) for package in packages},
        "annotations": {
            "path": str(annotations),
            "sha256": file_sha256(annotations),
            "kind": truth.kind,
            "images": len(truth.image_ids),
            "classes": len(truth.category_ids),
            "objects": len(truth.image),
            "notes": list(truth.notes),
        },
        "iou_type": request.iou_type,
        "protocols": {protocol: _limits(truth.kind, protocol, request.areas) for protocol in request.protocols},
        "tide": _tide_limits(truth.kind) if request.tide else None,
        "bootstrap": {"samples": request.samples, "seed": SEED, "level": LEVEL} if request.samples else None,
        "warnings": [warning for file in files for warning in file.warnings],
        "files": [_describe(file, files[0], request) for file in files],
        "seconds": round(seconds, 3),
    }


def per_class_csv(files: Sequence[FileScores]) -> str:
    """One row a file and class, fractions, blank where a class has no ground truth.

    The figures are those of the first protocol that has any by class.

    Raises:
        UserError: no protocol has.
    """
    protocol = protocol_by_class([*files[0].evaluations], "--per-class")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for file in files:
        columns = _by_class(file, protocol) or {}  # never empty: only AP-Pool has none
        if file is files[0]:
            writer.writerow(["file", "protocol", *columns])
        for values in zip(*(column.tolist() for column in columns.values()), strict=True):
            cells = (as_text(value) if isinstance(value, str) else _blank(value) for value in values)
            writer.writerow([as_text(file.label), protocol, *cells])
    return text.getvalue()


def protocol_by_class(protocols: Sequence[str], option: str) -> str:
    """The first of ``protocols`` that has figures by class, as ``option`` needs; raises a UserError if none has."""
    for protocol in protocols:
        if protocol != "pool":
            return protocol
    raise UserError(f"AP-Pool has no figures by class, so {option} needs the protocol 'standard' or 'fixed', too.")


def _describe(file: FileScores, first: FileScores, request: ScoreRequest) -> dict[str, Any]:
    described: dict[str, Any] = {
        "path": str(file.path),
        "sha256": file_sha256(file.path),
        "detections": file.detections,
        "classes_short_of_detections": file.short_classes,
        "protocols": {},
    }
    for protocol, evaluation in file.evaluations.items():
        described["protocols"][protocol] = {"unit": "fraction", "figures": dict(evaluation.summary)}
        if request.samples:
            described["protocols"][protocol]["intervals"] = _intervals(file.intervals[protocol])
        if file is not first:
            described["protocols"][protocol]["difference_from_first"] = _difference(
                evaluation, first.evaluations[protocol], file.differences.get(protocol, {})
            )
        if protocol in file.lrp:
            described["protocols"][protocol]["lrp"] = {"unit": "fraction", "figures": dict(file.lrp[protocol].summary)}
        described["protocols"][protocol]["per_class"] = _per_class(file, protocol)
    if file.tide is not None:
        t = file.tide
        described["tide"] = {
            "unit": "points",
            "tidecv": {"AP50": t.ap, **t.errors, **t.special, "classes": t.classes},
            "classes_with_truth": {
                "AP50": t.ap_gt_classes,
                **t.errors_gt_classes,
                **t.special_gt_classes,
                "classes": t.classes_with_truth,
            },
            "counts": t.counts,
        }
    if request.verify:
        described["verification"] = [
            {"metric": c.metric, "ours": c.ours, "official": c.official, "tool": c.tool, "equal": c.equal}
            for c in file.comparisons
        ]
        described["verification_failed"] = file.failure
    described["seconds"] = file.seconds
    return described


def _difference(mine: Evaluation, first: Evaluation, intervals: dict[str, Interval]) -> dict[str, Any]:
    gaps = {
        name: None if value is None or (base := first.summary[name]) is None else value - base
        for name, value in mine.summary.items()
    }
    return {"figures": gaps, **({"intervals": _intervals(intervals)} if intervals else {})}


def _intervals(intervals: dict[str, Interval]) -> dict[str, list[float]]:
    return {name: [interval.low, interval.high] for name, interval in intervals.items()}


def _by_class(file: FileScores, protocol: str) -> dict[str, np.ndarray] | None:
    """Columns of AP and, where it was asked for, of LRP; None for AP-Pool."""
    columns = file.evaluations[protocol].per_class
    return columns if columns is None or protocol not in file.lrp else columns | file.lrp[protocol].per_class


def _per_class(file: FileScores, protocol: str) -> dict[str, list[Any]] | None:
    columns = _by_class(file, protocol)
    if columns is None:
        return None
    return {
        name: [None if isinstance(value, float) and math.isnan(value) else value for value in column.tolist()]
        for name, column in columns.items()
    }


def _limits(kind: str, protocol: str, areas: str) -> dict[str, Any]:
    """The limits and thresholds of a protocol; None: no limit."""
    lvis = kind == "lvis"
    ranges = dict(zip(("all", "s", "m", "l"), AREA_RANGES.tolist(), strict=True))
    return {
        "detections_per_image": IMAGE_LIMIT if lvis and protocol == "standard" else None,
        "detections_per_class": CLASS_LIMIT if protocol != "standard" else None,
        "detections_per_image_and_class": None if lvis else COCO_LIMITS[-1],
        "federated": lvis,
        "classes_ranked_together": protocol == "pool",
        "iou_thresholds": [round(threshold, 2) for threshold in IOU_THRESHOLDS.tolist()],
        "recall_points": len(RECALLS),
        "area_of_detections": areas,
        "area_ranges": None if protocol == "pool" else ranges,
    }


def _tide_limits(kind: str) -> dict[str, Any]:
    """The limits and thresholds of TIDE."""
    return {
        "detections_per_image": DETECTIONS_PER_IMAGE[kind],
        "iou_threshold": MATCH_IOU,
        "background_iou": BACKGROUND_IOU,
    }


def _blank(value: Any) -> Any:
    return "" if isinstance(value, float) and np.isnan(value) else value
