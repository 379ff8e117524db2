"""Mistakes in a detector's box head and validation, each of which must be caught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pretended_cuda.planting import Fault, scenarios_of

from fasa.mmdet import validation_loss
from fasa.mmdet.bbox_head import AugmentedBBoxHead
from fasa.mmdet.validation_loss import RoIValidation

CUDA = torch.device("cuda")
CLASSES, REGIONS = 5, 12
per_example, means, loss_of_head = validation_loss.per_example, RoIValidation.means, AugmentedBBoxHead.loss


def step_and_validation(folder: Path) -> None:
    """A box head's step on the device, and the losses of each class."""
    from toys_detection import fasa_head

    config = {key: value for key, value in fasa_head(start_epoch=0).items() if key != "type"}
    head = AugmentedBBoxHead(fc_out_channels=8, in_channels=4, roi_feat_size=1, num_classes=CLASSES, **config)
    head.init_weights()
    head.to(CUDA).train()
    labels = torch.arange(REGIONS, device=CUDA) % (CLASSES + 1)
    scores, boxes = head(torch.randn(REGIONS, 4, 1, 1).to(CUDA))
    weights, corners = torch.ones(REGIONS, device=CUDA), torch.zeros(REGIONS, 4, device=CUDA)
    losses = head.loss(scores, boxes, torch.zeros(REGIONS, 5, device=CUDA), labels, weights, corners, corners)
    losses["loss_cls"].backward()
    sums = RoIValidation.zeros(CLASSES, CUDA)
    sums.add(head.loss_cls, scores.detach(), labels)
    sums.means()


def summed_on_the_cpu(loss_cls: Any, scores: Any, labels: Any) -> Any:
    return per_example(loss_cls, scores.cpu(), labels.cpu()).to(CUDA)


def rounded_by_numpy(self: RoIValidation) -> Any:
    self.loss.numpy().round(3)
    return means(self)


def labels_of_the_cpu(self: Any, scores: Any, boxes: Any, rois: Any, labels: Any, *targets: Any) -> Any:
    return loss_of_head(self, scores, boxes, rois, labels.cpu(), *targets)


FAULTS = {
    ".cpu() in the sums of validation": Fault(
        ((validation_loss, "per_example", summed_on_the_cpu),),
        step_and_validation,
        r"SynchronisationError: synchronisation \(a copy to the CPU\) in RoIValidation.add",
    ),
    ".numpy() of the sums of validation": Fault(
        ((RoIValidation, "means", rounded_by_numpy),),
        step_and_validation,
        "TypeError: can't convert cuda:0 device type",
    ),
    "labels of RoIs on the CPU": Fault(
        ((AugmentedBBoxHead, "loss", labels_of_the_cpu),), step_and_validation, "DeviceError: .* on cuda:0 and the CPU"
    ),
}
SCENARIOS = scenarios_of(FAULTS)
