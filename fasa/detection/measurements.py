"""What is read off a finished detector: AP of masks and boxes, TIDE, weight norms, the trajectory of sampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from torch.utils.data import DataLoader

from fasa import metrics
from fasa.detection.manifest import Manifest
from fasa.detection.validation_loss import ValidationLoss, stages


def score(manifest: Manifest, detections: Path) -> dict[str, Any]:
    """AP of masks (``lvis``), of boxes (``lvis_box``), AP-Fixed, AP-Pool and TIDE of a file of detections; fractions.

    On COCO-LT ``lvis`` is COCO's AP with the four bins of training instances, and there is no Fixed or Pool.
    """
    truth = metrics.load_ground_truth(manifest.val.annotations)
    masks = metrics.overlaps(truth, detections, "segm", all_classes=True)
    boxes = metrics.overlaps(truth, detections, "bbox")
    bins = None if truth.kind == "lvis" else _aligned(manifest, truth)
    whole = metrics.evaluate(masks, "standard", bins)
    tide = metrics.tide(masks)
    found: dict[str, Any] = {
        "lvis": whole.summary,
        "lvis_box": metrics.evaluate(boxes).summary,
        "tide": {**tide.errors, "ap": tide.ap, "classes": tide.classes},
        "per_class_ap": [None if value != value else round(float(value), 6) for value in whole.per_class["AP"]],
    }
    if truth.kind == "lvis":
        found |= {name: metrics.evaluate(masks, name).summary for name in ("fixed", "pool")}
    return found


def internals(detector: nn.Module, heldout: DataLoader, history: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the (last) box head: weight norms, the mean probability of the true class in held-out RoIs (figure 1b; null
    for a class without any), and what each epoch's adaptation left in the history."""
    last = stages(detector)[-1]
    sums = ValidationLoss(detector, heldout)()[-1]
    shares = (sums.probability / sums.count)[:-1].tolist()  # the background left out; nan: no RoI
    found: dict[str, Any] = {
        "weight_norms": _list(last.head.fc_cls.weight.detach().norm(dim=1)),
        "class_probabilities": [None if share != share else round(share, 6) for share in shares],
    }
    heads = [line["heads"][last.name] for line in history]
    if heads and "probabilities" in heads[0]:
        found["sampling_trajectory"] = {
            key: [head[key] for head in heads] for key in ("probabilities", "groups") if key in heads[0]
        }
    if heads and "validation_loss" in heads[0]:
        found["validation_loss"] = [head["validation_loss"] for head in heads]
    return found


def _aligned(manifest: Manifest, truth: metrics.GroundTruth) -> Any:
    """Training instances of each class in the order of the ground truth's category ids, by name."""
    count = dict(zip(manifest.category_names, manifest.instance_counts, strict=True))
    return np.array([count[name] for name in truth.category_names])


def _list(values: Any) -> list[float]:
    return [round(value, 6) for value in values.double().tolist()]
