"""What is read off a classifier that was trained on fixed features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fasa import evaluation
from fasa.datasets.lvis_counts import boxes
from fasa.evaluation import Detections, GroundTruth, load_ground_truth
from fasa.mmdet.criterion import class_probabilities
from fasa.mmdet.validation_loss import evaluating
from fasa.tasks.detection.measurements import of_head
from fasa.tasks.detection.norcal import GAMMAS, WHOLE, calibrate
from fasa.tasks.features.training import HEAD, Training

GROUPS = ("AP", "APr", "APc", "APf")
LIMIT, LEAST = 300, 1e-4  # detections of an image, as LVIS has it, and their least score, as its detectors have it
REGIONS = 4096  # at once


def measure(training: Training, norcal: bool) -> dict[str, Any]:
    """AP by LVIS's federated rules and what figures draw; with ``norcal`` also AP under each of its powers; fractions.

    Held-out regions are those of the validation images as they are, and others than adaptation watched.
    """
    truth = load_ground_truth(training.manifest.val.annotations)
    gammas = GAMMAS if norcal else GAMMAS[:1]
    scored = {
        gamma: _summary(truth, found) for gamma, found in zip(gammas, detections(training, truth, gammas), strict=True)
    }
    found: dict[str, Any] = {"mask_ap": scored[0.0], "box_ap": scored[0.0]}
    sums = training.validate(training.held_out("original", "measured"))
    found |= of_head(HEAD, training.head, sums, training.history)
    if norcal:
        tuned = max(GAMMAS, key=lambda gamma: scored[gamma]["AP"])  # of equals the least
        found["norcal"] = {
            name: {"gamma": gamma, "mask_ap": scored[gamma], "box_ap": scored[gamma]}
            for name, gamma in (("whole", WHOLE), ("tuned", tuned))
        }
    return found


def _summary(truth: GroundTruth, found: Detections) -> dict[str, Any]:
    summary = evaluation.evaluate(evaluation.overlaps(truth, found, "bbox")).summary
    return {name: summary[name] for name in GROUPS}


@torch.no_grad()
def detections(training: Training, truth: GroundTruth, gammas: Sequence[float]) -> list[Detections]:
    """For each power of NorCal, the best ``LIMIT`` pairs of region and class of each image that score over ``LEAST``,
    less those of classes that nobody looked for in the image: LVIS's rules pass over these, and they are nearly all. A
    power of 0 changes no score."""
    head, counts = training.head, torch.tensor(training.manifest.image_counts)
    rows: list[list[tuple[np.ndarray, ...]]] = [[] for _ in gammas]
    training.features.draw("test")
    with evaluating(head):
        for image, features in _images(training):
            scores = class_probabilities(head.loss_cls, head.fc_cls(features))
            for gamma, kept in zip(gammas, rows, strict=True):
                calibrated = calibrate(scores, counts, gamma) if gamma else scores
                kept.append(_best(calibrated[:, : head.num_classes], image, truth))
    return [_columns(kept, truth) for kept in rows]


def _images(training: Training) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Regions of whole images, about ``REGIONS`` at once: the image of each ``[n]``, and its feature ``[n, d]``.

    An image's objects come first, in the order of their annotations, then its background.
    """
    pairs, extra = training.pairs["val"], training.scale.test_background
    objects = np.bincount(pairs.image, pairs.objects, pairs.images).astype(int)
    label = np.repeat(pairs.label, pairs.objects)
    ends = np.cumsum(objects)
    chunk = np.cumsum(objects + extra) // REGIONS
    for number in np.unique(chunk):
        images = np.flatnonzero(chunk == number)
        first = ends[images[0]] - objects[images[0]]
        labels = torch.as_tensor(label[first : ends[images[-1]]])
        of_object, of_background = np.repeat(images, objects[images]), np.repeat(images, extra)
        # Each background region may lie beside an object of its image; one without objects has another's.
        drawn = torch.randint(1 << 30, (len(of_background),), generator=training.features.generator).numpy()
        of_its_own = drawn % np.maximum(objects[of_background], 1)
        beside = label[np.maximum(ends[of_background] - 1 - of_its_own, 0)]
        background = training.features.of_background(torch.as_tensor(beside))
        image = np.concatenate([of_object, of_background])
        order = np.argsort(image, kind="stable")
        features = torch.cat([training.features.of_new_objects(labels), background])
        yield image[order], features[torch.as_tensor(order)]


def _best(scores: Tensor, image: np.ndarray, truth: GroundTruth) -> tuple[np.ndarray, ...]:
    """Image, class, score and number of the region in its image of the judged ones among each image's best."""
    classes = scores.shape[1]
    found = []
    starts = np.flatnonzero(np.diff(image, prepend=-1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(image)], strict=True):
        best, place = scores[start:end].flatten().topk(min(LIMIT, (end - start) * classes))
        region, label = np.divmod(place.numpy(), classes)
        judged = truth.verified[image[start], label] & (best.numpy() > LEAST)
        number = int(judged.sum())
        found.append((np.full(number, image[start]), label[judged], best.numpy()[judged], region[judged]))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _columns(rows: list[tuple[np.ndarray, ...]], truth: GroundTruth) -> Detections:
    image, label, score, region = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Detections(
        "regions", truth.image_ids[image], truth.category_ids[label], score.astype(np.float64), boxes(region)
    )
