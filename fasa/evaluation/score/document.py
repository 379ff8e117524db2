"""The result as a JSON document: fractions (TIDE: points), null where there is no ground truth."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fasa.evaluation import Evaluation, GroundTruth
from fasa.evaluation.metrics.bootstrap import LEVEL, Interval
from fasa.evaluation.score.results import SEED, FileScores, Question
from fasa.evaluation.score.rules import fields, tide_fields


def document(
    question: Question, annotations: Path, truth: GroundTruth, files: Sequence[FileScores], seconds: float
) -> dict[str, Any]:
    """Everything that was asked and found; JSON can hold it (no NaN, no numpy)."""
    packages = ["fasa", "numpy", "numba", "pycocotools"]
    if question.verify:
        packages += ["lvis"] * (truth.kind == "lvis") + ["tidecv"] * question.tide
    return {
        "versions": {package: version(package) for package in packages},
        "annotations": {
            "path": str(annotations),
            "sha256": _sha256(annotations),
            "kind": truth.kind,
            "images": len(truth.image_ids),
            "classes": len(truth.category_ids),
            "objects": len(truth.image),
            "notes": list(truth.notes),
        },
        "iou_type": question.iou_type,
        "protocols": {protocol: fields(truth.kind, protocol, question.areas) for protocol in question.protocols},
        "tide": tide_fields(truth.kind) if question.tide else None,
        "bootstrap": {"samples": question.samples, "seed": SEED, "level": LEVEL} if question.samples else None,
        "files": [_file(file, files[0], question) for file in files],
        "seconds": round(seconds, 3),
    }


def _file(file: FileScores, first: FileScores, question: Question) -> dict[str, Any]:
    told: dict[str, Any] = {
        "path": str(file.path),
        "sha256": _sha256(file.path),
        "detections": file.detections,
        "classes_short_of_detections": file.short_classes,
        "protocols": {},
    }
    for protocol, evaluation in file.evaluations.items():
        told["protocols"][protocol] = {"unit": "fraction", "figures": dict(evaluation.summary)}
        if question.samples:
            told["protocols"][protocol]["intervals"] = _intervals(file.intervals[protocol])
        if file is not first:
            told["protocols"][protocol]["difference_from_first"] = _difference(
                evaluation, first.evaluations[protocol], file.differences.get(protocol, {})
            )
        told["protocols"][protocol]["per_class"] = _per_class(evaluation)
    if file.tide is not None:
        t = file.tide
        told["tide"] = {
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
    if question.verify:
        told["verification"] = [
            {"metric": c.metric, "ours": c.ours, "official": c.official, "tool": c.tool, "equal": c.equal}
            for c in file.comparisons
        ]
    told["seconds"] = file.seconds
    return told


def _difference(mine: Evaluation, first: Evaluation, intervals: dict[str, Interval]) -> dict[str, Any]:
    gaps = {
        name: None if value is None or first.summary[name] is None else value - first.summary[name]
        for name, value in mine.summary.items()
    }
    return {"figures": gaps, **({"intervals": _intervals(intervals)} if intervals else {})}


def _intervals(intervals: dict[str, Interval]) -> dict[str, list[float]]:
    return {name: [interval.low, interval.high] for name, interval in intervals.items()}


def _per_class(evaluation: Evaluation) -> dict[str, list[Any]] | None:
    if evaluation.per_class is None:
        return None
    return {
        name: [None if isinstance(value, float) and math.isnan(value) else value for value in column.tolist()]
        for name, column in evaluation.per_class.items()
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
