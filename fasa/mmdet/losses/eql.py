"""Equalization loss (Tan et al., CVPR 2020): tail classes are spared the negatives of other classes' objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from fasa.mmdet.class_counts import read_class_counts
from fasa.mmdet.losses.base import ClassificationLoss

PRIOR = 0.001  # a class's probability before training; from one half, the negatives of all classes explode


@MODELS.register_module()
class EqualizationLoss(ClassificationLoss):
    """Sigmoid form for detection: one output a class, none for the background.

    ``L = -sum_j w_j log p_hat_j`` with ``w_j = 1 - E T(f_j) (1 - y_j)``: ``E`` is 1 for foreground RoIs and 0 for
    background, ``T(f)`` is 1 for classes in less than ``threshold`` of the images. So a tail class gets no negative
    from another class's object, but does from background. A virtual feature is a foreground RoI.

    The classifier must start from the bias ``log(0.001 / 0.999)``: call :meth:`initialise`, or give the box head
    ``init_cfg=[dict(type="Normal", std=0.01, bias_prob=0.001, override=dict(name="fc_cls")), ...]``.

    Args:
        image_counts: training images of each class, in a list or a file (:func:`read_class_counts`).
        num_images: training images with at least one annotation (LVIS v1: 99,388).
        num_classes: ``C``.
        threshold: ``lambda``, a share of the images; 1.1e-3 on LVIS v1 covers the rare and common classes.
        reduction, loss_weight: as in mmdet's losses.

    Raises:
        UserError: ``image_counts`` cannot be read or has not ``num_classes`` entries.
    """

    tail: Tensor

    def __init__(
        self,
        image_counts: Sequence[int] | str | Path,
        num_images: int,
        num_classes: int = 1203,
        threshold: float = 1.1e-3,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(num_classes, num_classes, reduction, loss_weight)
        counts = read_class_counts(image_counts, num_classes, "image_counts of EqualizationLoss", images=True)
        # Not in the checkpoint: it follows from the config, and the weights of a stage one load without it.
        self.register_buffer("tail", counts / num_images < threshold, persistent=False)

    @torch.no_grad()
    def initialise(self, classifier: nn.Linear) -> None:
        """Set the classifier's first bias so that every class starts from the probability ``PRIOR``."""
        nn.init.constant_(classifier.bias, math.log(PRIOR / (1 - PRIOR)))

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Logits ``[n, C]`` to scores ``[n, C + 1]``; the background's are 0, as nothing reads them."""
        return functional.pad(cls_score.sigmoid(), (0, 1))

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Per cent of the foreground RoIs whose class has the highest score; no synchronisation."""
        foreground = labels < self.num_classes
        hits = (cls_score.argmax(1) == labels) & foreground
        return {"acc_classes": (100 * hits.sum() / foreground.sum().clamp(min=1)).reshape(1)}

    def per_example(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Losses ``[n]`` of logits ``[n, C]``, summed over the classes; label ``C`` is the background."""
        target = labels[:, None] == torch.arange(self.num_classes, device=labels.device)
        foreground = (labels < self.num_classes)[:, None]
        losses = functional.binary_cross_entropy_with_logits(cls_score, target.to(cls_score.dtype), reduction="none")
        return losses.masked_fill(foreground & self.tail & ~target, 0).sum(1)
