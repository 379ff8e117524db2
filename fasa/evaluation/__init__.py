"""LVIS and COCO scores, equal to the official tools' to the last bit, in seconds and in little memory.

Call ``average_precision(annotations, detections)``, ``tide_errors(…)`` or ``localisation_recall_precision(…)``; for
several figures of one file ``overlaps`` first, which reads it once, then ``evaluate``, ``tide``, ``optimal_lrp``,
``bootstrap`` and ``mistakes``. ``subset`` cuts annotations to some images, ``DetectionWriter`` writes detections.
``LVIS``, ``LVISResults``, ``LVISEval`` and ``COCOeval`` are for code that is written for lvis-api or pycocotools.
Where: ``api`` these functions, ``io`` files, ``geometry`` masks, boundaries and IoU, ``metrics`` AP, TIDE, LRP and
intervals, ``score`` the command ``fasa score``. Everything is loaded on first use, so that importing the package is
quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fasa.evaluation.api import (
        average_precision,
        evaluate,
        localisation_recall_precision,
        overlaps,
        tide_errors,
    )
    from fasa.evaluation.drop_in.coco_eval import COCOeval
    from fasa.evaluation.drop_in.lvis_annotations import LVIS
    from fasa.evaluation.drop_in.lvis_eval import LVISEval
    from fasa.evaluation.drop_in.lvis_results import LVISResults
    from fasa.evaluation.geometry.overlaps import Overlaps
    from fasa.evaluation.io.detection_columns import Detections
    from fasa.evaluation.io.detections import load_detections, open_detections
    from fasa.evaluation.io.ground_truth import GroundTruth, load_ground_truth, save_ground_truth
    from fasa.evaluation.io.subset import subset
    from fasa.evaluation.io.writer import DetectionWriter, save_detections
    from fasa.evaluation.metrics.average_precision import Evaluation
    from fasa.evaluation.metrics.bootstrap import bootstrap
    from fasa.evaluation.metrics.lrp import OptimalLRP, optimal_lrp
    from fasa.evaluation.metrics.matching import Matches, match
    from fasa.evaluation.metrics.mistakes import mistakes
    from fasa.evaluation.metrics.tide import Tide, tide

__all__ = [
    "LVIS",
    "COCOeval",
    "DetectionWriter",
    "Detections",
    "Evaluation",
    "GroundTruth",
    "LVISEval",
    "LVISResults",
    "Matches",
    "OptimalLRP",
    "Overlaps",
    "Tide",
    "average_precision",
    "bootstrap",
    "evaluate",
    "load_detections",
    "load_ground_truth",
    "localisation_recall_precision",
    "match",
    "mistakes",
    "open_detections",
    "optimal_lrp",
    "overlaps",
    "save_detections",
    "save_ground_truth",
    "subset",
    "tide",
    "tide_errors",
]
_HOMES = {
    "api": ("average_precision", "evaluate", "localisation_recall_precision", "overlaps", "tide_errors"),
    "drop_in.coco_eval": ("COCOeval",),
    "drop_in.lvis_annotations": ("LVIS",),
    "drop_in.lvis_eval": ("LVISEval",),
    "drop_in.lvis_results": ("LVISResults",),
    "geometry.overlaps": ("Overlaps",),
    "io.detection_columns": ("Detections",),
    "io.detections": ("load_detections", "open_detections"),
    "io.ground_truth": ("GroundTruth", "load_ground_truth", "save_ground_truth"),
    "io.subset": ("subset",),
    "io.writer": ("DetectionWriter", "save_detections"),
    "metrics.average_precision": ("Evaluation",),
    "metrics.bootstrap": ("bootstrap",),
    "metrics.lrp": ("OptimalLRP", "optimal_lrp"),
    "metrics.matching": ("Matches", "match"),
    "metrics.mistakes": ("mistakes",),
    "metrics.tide": ("Tide", "tide"),
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"fasa.evaluation.{home}"), name)
    raise AttributeError(f"module 'fasa.evaluation' has no attribute {name!r}")
