"""How the region features of trained detectors lie, beside those that `tail`, `tail_apart` and `tail_close` draw.

python -m benchmarks.feature_geometry [COCO]

The detector is `rfs` at mini, seed 0, trained before. With COCO, a folder with instances_train.json,
instances_val.json and their images in train/ and val/, also plain Mask R-CNN at mini after one pass over the training
images there.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fasa.datasets.annotation_counts import count_annotations
from fasa.datasets.manifest import Manifest, Split, write_manifest
from fasa.mmdet.validation_loss import ValidationLoss, stages
from fasa.study import Run, Study, load_study
from fasa.tasks.detection.training import trained_detector
from fasa.tasks.features.training import Training

ROOT = Path(__file__).parents[1]
LEAST = 10  # regions of a class
ONE_PASS = """
base: mini
description: One pass over the training images.
detection: {epochs: 0.0833}
"""


def of_detector(study: Study, recipe: str) -> tuple[Tensor, Tensor, int]:
    """The classifier's inputs ``[n, d]`` of held-out regions, their labels ``[n]``, and the background's label."""
    detector, _, heldout = trained_detector(study.job(Run(recipe, 0)))
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


def of_one_pass(data: Path, recipe: str) -> tuple[Tensor, Tensor, int]:
    """The same after one pass over the images of ``data``, from the weights that mini's detectors start from."""
    counts = count_annotations(data / "instances_train.json")
    with TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(ROOT / "configs", root / "configs")
        (root / "configs" / "scales" / "one_pass.yaml").write_text(ONE_PASS)
        study = load_study(root, "one_pass")
        manifest = Manifest(
            name="coco_lt",
            train=Split(str(data / "instances_train.json"), f"{data}/train/"),
            val=Split(str(data / "instances_val.json"), f"{data}/val/"),
            category_names=counts.names,
            frequencies=("f",) * len(counts.names),
            instance_counts=tuple(np.maximum(1, counts.instances).tolist()),
            image_counts=tuple(np.maximum(1, counts.images).tolist()),
            train_images=counts.annotated_images,
            repeat_threshold=0.05,
            tail_threshold=0.1,
        )
        write_manifest(manifest, study.data_path(recipe))
        job = study.job(Run(recipe, 0))
        start = load_study(ROOT, "mini").job(Run(recipe, 0)).first_weights  # of the trained rfs, too
        assert start and job.first_weights
        job.first_weights.parent.mkdir(parents=True)
        shutil.copy2(start, job.first_weights)
        if failed := study.task(recipe).train([job], None):
            raise next(iter(failed.values()))
        return of_detector(study, recipe)


def of_model(scale: str, recipe: str) -> tuple[Tensor, Tensor, int]:
    """The same of a scale of fixed features, an untrained run of seed 0."""
    study = load_study(ROOT, scale)
    study.task(recipe).prepare(ROOT, study.recipe(recipe), None)
    training = Training(study.job(Run(recipe, 0)))
    found = training.held_out("original", "measured")
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


def main(coco: str | None = None) -> None:
    columns = {"rfs, mini": told(*of_detector(load_study(ROOT, "mini"), "rfs"))}
    columns |= {scale: told(*of_model(scale, "rfs")) for scale in ("tail", "tail_apart", "tail_close")}
    if coco:
        columns["one pass over COCO"] = told(*of_one_pass(Path(coco).resolve(), "mask_rcnn"))
    print(f"{'':<30}" + "".join(f"{name:>20}" for name in columns))
    for row in next(iter(columns.values())):
        print(f"{row:<30}" + "".join(f"{np.round(column[row], 3):>20}" for column in columns.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
