"""LVIS and COCO scores from columns: exact like the official tools, in seconds, in little memory.

The doors are ``average_precision`` and ``tide_errors``; for several figures of one file, ``overlaps`` reads it once and
``evaluate``, ``tide`` and ``bootstrap`` take their figures from it.
"""

from __future__ import annotations

from typing import Any

from fasa.evaluation.io.detections import Detections, load_detections, open_detections, save_detections
from fasa.evaluation.io.ground_truth import GroundTruth, load_ground_truth, save_ground_truth
from fasa.evaluation.io.writer import DetectionWriter
from fasa.evaluation.metrics.average_precision import Evaluation, evaluate
from fasa.evaluation.metrics.bootstrap import bootstrap
from fasa.evaluation.metrics.overlaps import Overlaps, overlaps
from fasa.evaluation.metrics.tide import Tide, tide

__all__ = [
    "DetectionWriter",
    "Detections",
    "Evaluation",
    "GroundTruth",
    "Overlaps",
    "Tide",
    "average_precision",
    "bootstrap",
    "evaluate",
    "load_detections",
    "load_ground_truth",
    "open_detections",
    "overlaps",
    "save_detections",
    "save_ground_truth",
    "tide",
    "tide_errors",
]


def average_precision(
    annotations: Any, detections: Any, iou_type: str = "segm", protocol: str = "standard"
) -> dict[str, float | None]:
    """AP, AP50, AP75, APr, APc, APf, … as fractions; None where no class of a group has ground truth.

    Args:
        annotations: of LVIS or COCO: a path (.json, .json.gz, our .npz), the parsed dict, or a ``GroundTruth``.
        detections: official results: a path (.json, .json.gz, our .npz), the list of entries, or ``Detections``.
        iou_type: "segm" or "bbox".
        protocol: "standard" (LVIS: 300 detections an image; COCO: 100 of a class in an image), "fixed" (AP-Fixed:
            10,000 of a class over the set) or "pool" (AP-Pool), both by Dave et al. 2021.

    Raises:
        UserError: whatever is wrong with an input, in one sentence.
    """
    return evaluate(overlaps(load_ground_truth(annotations), detections, iou_type), protocol).summary


def tide_errors(annotations: Any, detections: Any, iou_type: str = "segm") -> dict[str, float]:
    """TIDE's errors cls, loc, both, dupe, bkg, miss in AP points at IoU 0.5 (Bolya et al. 2020), as tidecv 1.0.1.

    Arguments and errors as ``average_precision``; ``tide`` has the counts, special errors and the mean over classes
    with ground truth, too.
    """
    return tide(overlaps(load_ground_truth(annotations), detections, iou_type, all_classes=True)).errors
