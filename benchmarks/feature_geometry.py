"""How the region features of a trained detector lie, beside those that the scale `tail` draws.

python benchmarks/feature_geometry.py [RECIPE [SCALE]]     a trained run of seed 0; rfs at mini without
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fasa.mmdet.validation_loss import ValidationLoss, stages
from fasa.study import Run, load_study
from fasa.tasks.detection.training import trained_detector
from fasa.tasks.features.training import Training

LEAST = 10  # regions of a class


def of_detector(recipe: str, scale: str) -> tuple[Tensor, Tensor, int]:
    """The classifier's inputs ``[n, d]`` of held-out regions, their labels ``[n]``, and the background's label."""
    detector, _, heldout = trained_detector(load_study(Path("."), scale).job(Run(recipe, 0)))
    head = stages(detector)[-1].head
    features: list[Tensor] = []
    labels: list[Tensor] = []

    def see_features(_: Any, inputs: tuple[Tensor, ...]) -> None:
        features.append(inputs[0])

    def see_labels(_: Any, inputs: tuple[Tensor, ...]) -> None:
        labels.append(inputs[1])

    with torch.no_grad():
        head.fc_cls.register_forward_pre_hook(see_features)
        head.loss_cls.register_forward_pre_hook(see_labels)
        ValidationLoss(detector, heldout)()
    return torch.cat(features), torch.cat(labels), head.num_classes


def of_model(recipe: str) -> tuple[Tensor, Tensor, int]:
    """The same of the scale `tail`, an untrained run of seed 0."""
    study = load_study(Path("."), "tail")
    study.task(recipe).prepare(Path("."), study.recipe(recipe), None)
    training = Training(study.job(Run(recipe, 0)))
    found = training.held_out("original")
    return found.features, found.labels, training.head.num_classes


def told(features: Tensor, labels: Tensor, background: int) -> dict[str, float]:
    """What can be compared whatever the unit and the number of dimensions."""
    count = labels.bincount(minlength=background + 1)
    known = (count >= LEAST).nonzero().squeeze(1)
    known = known[known < background]
    chosen = torch.isin(labels, known)
    x, y = features[chosen].double(), torch.searchsorted(known, labels[chosen])
    of_class = torch.stack([x[y == c].mean(0) for c in range(len(known))])
    within = (x - of_class[y]).square().mean(0).sum()
    between = of_class.var(0).sum()
    # Nearest mean of the other half of each class's regions.
    half = torch.rand(len(y), generator=torch.Generator().manual_seed(0)) < 0.5
    means = torch.stack([x[half & (y == c)].mean(0) for c in range(len(known))])
    nearest = torch.cdist(x[~half], means).argmin(1)
    norms = features.double().norm(dim=1)
    behind = features[labels == background].double()
    return {
        "classes": len(known),
        "dimensions": features.shape[1],
        "zeros": (features == 0).double().mean().item(),
        "between / within": (between / within).item(),
        "nearest mean": (nearest == y[~half]).double().mean().item(),
        "by chance": 1 / len(known),
        "norm of background / objects": (norms[labels == background].mean() / norms[chosen].mean()).item(),
        "background's spread / within": (behind.var(0).sum() / within).item(),
    }


def main(recipe: str = "rfs", scale: str = "mini") -> None:
    columns = {f"{recipe}, {scale}": told(*of_detector(recipe, scale)), "tail": told(*of_model(recipe))}
    print(f"{'':<30}" + "".join(f"{name:>16}" for name in columns))
    for row in next(iter(columns.values())):
        print(f"{row:<30}" + "".join(f"{np.round(column[row], 3):>16}" for column in columns.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
