"""The functions to call: they accept paths, parsed JSON or our own objects, and pass our own objects on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fasa.evaluation.geometry.overlaps import Overlaps, find_overlaps
from fasa.evaluation.io.detection_columns import Detections
from fasa.evaluation.io.detections import DetectionSource, open_detections
from fasa.evaluation.io.ground_truth import GroundTruth, load_ground_truth
from fasa.evaluation.metrics.average_precision import Evaluation, Summary, evaluate_matches
from fasa.evaluation.metrics.lrp import optimal_lrp, refuse_pool
from fasa.evaluation.metrics.matching import Matches, check_protocol, match
from fasa.evaluation.metrics.mistakes import mistakes
from fasa.evaluation.metrics.tide import tide

AnyAnnotations = str | Path | dict[str, Any] | GroundTruth
AnyDetections = str | Path | list[dict[str, Any]] | Detections | DetectionSource


def average_precision(
    annotations: AnyAnnotations, detections: AnyDetections, iou_type: str = "segm", protocol: str = "standard"
) -> Summary:
    """AP, AP50, AP75, APr, APc, APf, … as fractions; None where no class of a group has ground truth.

    What looks like a mistake in the detections (``mistakes``) is a Python warning.

    Args:
        annotations: of LVIS or COCO: a path (.json, .json.gz, our .npz), the parsed dict, or a ``GroundTruth``.
        detections: official results: a path (.json, .json.gz, our .npz), the list of entries, or ``Detections``.
        iou_type: "segm", "bbox", or "boundary": the smaller of mask and Boundary IoU (Cheng et al. 2021).
        protocol: "standard" (LVIS: 300 detections an image; COCO: 100 of a class in an image), "fixed" (AP-Fixed:
            10,000 of a class over the set) or "pool" (AP-Pool), both by Dave et al. 2021.

    Raises:
        UserError: whatever is wrong with an input, in one sentence.
    """
    truth = load_ground_truth(annotations, masks=iou_type != "bbox")
    check_protocol(truth, protocol)
    found = find_overlaps(truth, open_detections(detections), iou_type)
    _warn(found, protocol)
    return evaluate_matches(match(found, protocol), protocol).summary


def localisation_recall_precision(
    annotations: AnyAnnotations, detections: AnyDetections, iou_type: str = "segm", protocol: str = "standard"
) -> Summary:
    """oLRP, oLRP_loc, oLRP_fp, oLRP_fn (Oksuz et al. 2018) at IoU 0.5, LVIS: also oLRPr, …; errors, lower is better.

    Arguments and errors as ``average_precision``, but not "pool"; ``optimal_lrp`` also gives each class's figures and
    the score where they are reached.
    """
    refuse_pool(protocol)
    found = overlaps(annotations, detections, iou_type)
    _warn(found, protocol)
    return optimal_lrp(match(found, protocol)).summary


def tide_errors(annotations: AnyAnnotations, detections: AnyDetections, iou_type: str = "segm") -> dict[str, float]:
    """TIDE's errors cls, loc, both, dupe, bkg, miss in AP points at IoU 0.5 (Bolya et al. 2020), as tidecv 1.0.1.

    Arguments and errors as ``average_precision``, but no boundaries; ``tide`` also gives the counts, the special errors
    and the mean over classes with ground truth.
    """
    found = overlaps(annotations, detections, iou_type, all_classes=True)
    _warn(found)
    return tide(found).errors


def _warn(found: Overlaps, *protocols: str) -> None:
    for sentence in mistakes(found, protocols):
        warnings.warn(sentence, stacklevel=3)


def overlaps(
    ground_truth: AnyAnnotations,
    detections: AnyDetections,
    iou_type: str = "segm",
    all_classes: bool = False,
    area: str = "mask",
    progress: Callable[[int, int], None] | None = None,
) -> Overlaps:
    """Read ``detections`` once and pair them with ``ground_truth``: for several figures of one file.

    Args:
        ground_truth: annotations; they and the next two as for ``average_precision``.
        all_classes: also keep the pairs of different classes, which ``tide`` needs.
        area: whether a detection's size for APs, APm, APl is its mask's or, as the official tools do when an entry of
            mask results has a "bbox", its box's.
        progress: called with the bytes read so far and in all.

    Raises:
        UserError: an unknown image, a mask of another size than its image, no masks or no boxes where they are needed.
    """
    truth = load_ground_truth(ground_truth, masks=iou_type != "bbox")
    return find_overlaps(truth, open_detections(detections), iou_type, all_classes, area, progress)


def evaluate(
    overlaps: Overlaps | Matches, protocol: str = "standard", instance_counts: np.ndarray | None = None
) -> Evaluation:
    """Average precision of ``overlaps`` under ``protocol``.

    Args:
        overlaps: or their ``Matches``, to match once for protocols that share a limit ("fixed" and "pool").
        instance_counts: (K,) training instances of each class; adds the four bins of COCO-LT to the summary.

    Raises:
        UserError: an unknown protocol, an LVIS protocol on annotations that are not federated, or no overlaps.
    """
    if isinstance(overlaps, Matches):
        check_protocol(overlaps.overlaps.ground_truth, protocol)
        return evaluate_matches(overlaps, protocol, instance_counts)
    return evaluate_matches(match(overlaps, protocol), protocol, instance_counts)
