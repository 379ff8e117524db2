"""NorCal (Pan et al., NeurIPS 2021): a finished detector whose class scores are divided by powers of the class sizes.

Nothing is trained. Scores change before non-maximum suppression and the limit of an image, so each power ``gamma`` is
an inference of its own behind the box head. The best power is sought by the AP of boxes, which needs no mask; masks are
made for two powers: for 1, which takes the whole prior out as logit adjustment does, and for the best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.layers import multiclass_nms
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from fasa import atomic
from fasa import evaluation as metrics
from fasa.evaluation import DetectionWriter, GroundTruth
from fasa.mmdet.validation_loss import evaluating
from fasa.tasks.detection.inference import progress
from fasa.tasks.detection.nms import nms_by_class
from fasa.tasks.detection.topk_inference import Image, scored_boxes, write, write_boxes

GAMMAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
WHOLE = 1.0


def calibrate(scores: Tensor, image_counts: Tensor, gamma: float) -> Tensor:
    """Scores ``[n, C + 1]`` with each class's divided by ``N_c ** gamma``, normalised anew; ``gamma`` 0 changes no bit.

    Args:
        scores: a softmax over the classes and, last, the background, whose score is divided by 1.
        image_counts: ``N``, training images of each class, ``[C]``, as in the authors' code.
        gamma: 0 to 1.
    """
    divided = scores / functional.pad(image_counts.to(scores) ** gamma, (0, 1), value=1)
    return divided * (scores.sum(1, keepdim=True) / divided.sum(1, keepdim=True))


def measure(
    detector: TwoStageDetector, images: DataLoader, truth: GroundTruth, image_counts: Tensor, folder: Path
) -> dict[str, Any]:
    """AP of masks and boxes with ``gamma`` 1 (``whole``) and with the best of ``GAMMAS`` on these very ``images``
    (``tuned``), each with its ``gamma``, and the box AP of all ``candidates``; fractions.

    Args:
        images: test batches, iterated twice.
        image_counts: training images of each class, ``[C]``, by label.
        folder: where detections lie for the while, up to as much as a run's own for each power.

    Raises:
        UserError: the disk is full.
    """
    with atomic.scratch_folder(folder / "norcal") as scratch:
        paths = {gamma: scratch / f"boxes-{gamma}.npz" for gamma in GAMMAS}
        _write(detector, images, image_counts, paths, None)
        boxes = {gamma: _summary(truth, path, "bbox") for gamma, path in paths.items()}
        tuned = max(GAMMAS, key=lambda gamma: boxes[gamma]["AP"])  # of equals the least
        paths = {gamma: scratch / f"masks-{gamma}.npz" for gamma in (WHOLE, tuned)}
        _write(detector, images, image_counts, paths, truth)
        masks = {gamma: _summary(truth, path, "segm") for gamma, path in paths.items()}
    scored = {gamma: {"gamma": gamma, "mask_ap": masks[gamma], "box_ap": boxes[gamma]} for gamma in masks}
    return {
        "whole": scored[WHOLE],
        "tuned": scored[tuned],
        "candidates": {"gamma": list(GAMMAS), "box_ap": [boxes[gamma]["AP"] for gamma in GAMMAS]},
    }


def _summary(truth: GroundTruth, path: Path, iou_type: str) -> dict[str, Any]:
    return metrics.evaluate(metrics.overlaps(truth, path, iou_type)).summary


@torch.no_grad()
def _write(
    detector: TwoStageDetector,
    images: DataLoader,
    image_counts: Tensor,
    paths: Mapping[float, Path],
    judged_by: GroundTruth | None,
) -> None:
    """Write the detections of each power, with masks where ``judged_by`` judges, or without any."""
    dataset: Any = images.dataset
    ids = np.asarray(dataset.cat_ids)
    said = "calibrated boxes" if judged_by is None else "their masks"
    with ExitStack() as stack:
        stack.enter_context(evaluating(detector))
        stack.enter_context(nms_by_class(detector))
        policy = "all" if judged_by is None else "verified"
        writers = {g: stack.enter_context(DetectionWriter(path, judged_by, policy)) for g, path in paths.items()}
        for batch in progress(images, said):
            for image, gamma, results in detections(detector, batch, image_counts, tuple(paths)):
                if judged_by is None:
                    write_boxes(image, results, writers[gamma], ids)
                else:
                    write(detector, image, results, writers[gamma], ids)


def detections(
    detector: TwoStageDetector, batch: dict[str, Any], image_counts: Tensor, gammas: tuple[float, ...]
) -> Iterator[tuple[Image, float, InstanceData]]:
    """Detections of each image of a test batch by each power, selected by the detector's own settings, without masks.

    Those of ``gamma`` 0 are the detector's own. Boxes are x1, y1, x2, y2 in pixels of the network's input.
    """
    settings = detector.roi_head.test_cfg
    for image, found in scored_boxes(detector, batch):
        for gamma in gammas:
            scores = calibrate(found.scores, image_counts, gamma)
            boxes, labels = multiclass_nms(found.bboxes, scores, settings.score_thr, settings.nms, settings.max_per_img)
            yield image, gamma, InstanceData(bboxes=boxes[:, :4], scores=boxes[:, 4], labels=labels)
