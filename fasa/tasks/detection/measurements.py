"""What is read off a finished detector: AP of masks and boxes, TIDE, weight norms, features, sampling, cost."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fasa import evaluation as metrics
from fasa.datasets.manifest import Manifest
from fasa.evaluation.metrics.average_precision import evaluate_matches
from fasa.mmdet.validation_loss import RoIValidation, ValidationLoss, stages

BEST_OF_CLASSES = ("fixed", "pool")  # protocols that look at the best detections of each class over all images


def score(
    truth: metrics.GroundTruth,
    detections: Path,
    best_of_classes: Path | None = None,
    instance_counts: np.ndarray | None = None,
) -> dict[str, Any]:
    """AP of masks (``mask_ap``) and boxes (``box_ap``), AP-Fixed, AP-Pool and TIDE of a file of detections; fractions.

    On COCO-LT they are COCO's, and there is no Fixed or Pool.

    Args:
        best_of_classes: the detections for Fixed and Pool; without them both are of ``detections``, which stop at so
            many an image, and ``fixed_detections`` says so.
        instance_counts: training instances of each class ``[K]``, in the order of the truth's category ids:
            ``mask_ap`` gets COCO-LT's four bins.
    """
    masks = metrics.overlaps(truth, detections, "segm", all_classes=True)
    boxes = metrics.overlaps(truth, detections, "bbox")
    whole = metrics.evaluate(masks, "standard", instance_counts)
    assert whole.per_class is not None  # as of every protocol but AP-Pool
    tide = metrics.tide(masks)
    found: dict[str, Any] = {
        "mask_ap": whole.summary,
        "box_ap": metrics.evaluate(boxes).summary,
        "tide": {**tide.errors, "ap": tide.ap, "classes": tide.classes},
        "per_class_ap": [None if value != value else round(float(value), 6) for value in whole.per_class["AP"]],
    }
    if truth.kind == "lvis":
        best = masks if best_of_classes is None else metrics.overlaps(truth, best_of_classes, "segm")
        matches = metrics.match(best, "fixed")  # both look at the same detections
        found |= {name: evaluate_matches(matches, name).summary for name in BEST_OF_CLASSES}
        found["fixed_detections"] = "best of each image" if best_of_classes is None else "best of each class"
    return found


def internals(detector: nn.Module, heldout: DataLoader, history: list[dict[str, Any]]) -> dict[str, Any]:
    """:func:`of_head` of the (last) box head."""
    last = stages(detector)[-1]
    return of_head(last.name, last.head, ValidationLoss(detector, heldout)()[-1], history)


def of_head(name: str, head: Any, sums: RoIValidation, history: list[dict[str, Any]]) -> dict[str, Any]:
    """Of a box head: weight norms, of each class the mean probability of the true class in held-out RoIs (figure 1b)
    and how many of them it is first in (both null for a class without any), FASA's running mean of each class's
    features ``[C][d]`` (figure 5; null for a class never seen), and what each epoch's adaptation left in the history.

    Args:
        name: what the history calls the head.
        sums: over the held-out RoIs.
    """
    found: dict[str, Any] = {
        "weight_norms": _list(_class_rows(head).norm(dim=1)),
        "class_probabilities": _known(sums.probability / sums.count),
        "class_top1": _known(sums.correct / sums.count),
    }
    fasa = getattr(getattr(head, "augmenter", None), "fasa", None)
    if fasa is not None:
        seen = (fasa.observations > 0).tolist()
        found["class_features"] = [_list(row, 4) if there else None for row, there in zip(fasa.mean, seen, strict=True)]
    heads = [line["heads"][name] for line in history]
    if heads and "probabilities" in heads[0]:
        found["sampling_trajectory"] = {
            key: [head[key] for head in heads] for key in ("probabilities", "groups") if key in heads[0]
        }
        if fasa is not None:
            found["virtual_features"] = _list(_expected_draws(history, name, fasa.start_epoch), 2)
    if heads and "validation_loss" in heads[0]:
        found["validation_loss"] = [head["validation_loss"] for head in heads]
    return found


def _class_rows(head: Any) -> Tensor:
    """The classifier's rows of the classes alone ``[C, d]``, in their order: softmax has one more, BAGS has groups."""
    rows = head.fc_cls.weight.detach()
    channel = getattr(head.loss_cls, "channel", None)
    return rows[: head.num_classes] if channel is None else rows[channel[: head.num_classes]]


def _expected_draws(history: list[dict[str, Any]], head: str, start_epoch: int) -> Tensor:
    """Virtual features that a training is expected to have drawn of each class ``[C]`` (figure 1a): one by one, class
    c with probability p_c (eq 4), in each iteration of each process."""
    drawn = [torch.tensor(line["heads"][head]["probabilities"]) * line["iterations"] for line in history[start_epoch:]]
    return torch.stack(drawn).sum(0) if drawn else torch.zeros(len(history[0]["heads"][head]["probabilities"]))


def cost(iterations: dict[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    """What an iteration cost (``IterationCost.measured``), and the mean ``seconds_per_adaptation``, once an epoch; null
    where the recipe looks at no held-out images."""
    seconds = [line["seconds"] for line in history if line["seconds"] is not None]
    return {**iterations, "seconds_per_adaptation": round(mean(seconds), 3) if seconds else None}


def counts_by_category(manifest: Manifest, truth: metrics.GroundTruth) -> np.ndarray:
    """Training instances of each class ``[K]`` in the order of the truth's category ids, by name."""
    count = dict(zip(manifest.category_names, manifest.instance_counts, strict=True))
    return np.array([count[name] for name in truth.category_names])


def _known(shares: Tensor) -> list[float | None]:
    """Of the classes, the background left out; null where there is no RoI."""
    return [None if share != share else round(share, 6) for share in shares[:-1].tolist()]


def _list(values: Any, digits: int = 6) -> list[float]:
    return [round(value, digits) for value in values.double().tolist()]
