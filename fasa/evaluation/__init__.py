"""LVIS and COCO scores, equal to the official tools' to the last bit, in seconds and in little memory.

Call ``average_precision(annotations, detections)`` or ``tide_errors(…)``; for several figures of one file ``overlaps``
first, which reads it once, then ``evaluate``, ``tide`` and ``bootstrap``. ``DetectionWriter`` writes detections.
Where: ``api`` these functions, ``io`` files, ``geometry`` masks and IoU, ``metrics`` AP, TIDE and intervals, ``score``
the command ``fasa score``. Everything is loaded on first use, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fasa.evaluation.api import average_precision, evaluate, overlaps, tide_errors
    from fasa.evaluation.geometry.overlaps import Overlaps
    from fasa.evaluation.io.detections import Detections, load_detections, open_detections
    from fasa.evaluation.io.ground_truth import GroundTruth, load_ground_truth, save_ground_truth
    from fasa.evaluation.io.writer import DetectionWriter, save_detections
    from fasa.evaluation.metrics.average_precision import Evaluation
    from fasa.evaluation.metrics.bootstrap import bootstrap
    from fasa.evaluation.metrics.matching import Matches, match
    from fasa.evaluation.metrics.tide import Tide, tide

__all__ = [
    "DetectionWriter",
    "Detections",
    "Evaluation",
    "GroundTruth",
    "Matches",
    "Overlaps",
    "Tide",
    "average_precision",
    "bootstrap",
    "evaluate",
    "load_detections",
    "load_ground_truth",
    "match",
    "open_detections",
    "overlaps",
    "save_detections",
    "save_ground_truth",
    "tide",
    "tide_errors",
]
_HOMES = {
    "api": ("average_precision", "evaluate", "overlaps", "tide_errors"),
    "geometry.overlaps": ("Overlaps",),
    "io.detections": ("Detections", "load_detections", "open_detections"),
    "io.ground_truth": ("GroundTruth", "load_ground_truth", "save_ground_truth"),
    "io.writer": ("DetectionWriter", "save_detections"),
    "metrics.average_precision": ("Evaluation",),
    "metrics.bootstrap": ("bootstrap",),
    "metrics.matching": ("Matches", "match"),
    "metrics.tide": ("Tide", "tide"),
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"fasa.evaluation.{home}"), name)
    raise AttributeError(f"module 'fasa.evaluation' has no attribute {name!r}")
