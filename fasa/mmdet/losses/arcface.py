"""Liu et al. (CVPR 2020) on ArcFace: tail classes are lent the angular spread of head classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.registry import MODELS
from torch import Tensor
from torch.nn import functional

from fasa.method.statistics import batch_moments, update
from fasa.mmdet.class_counts import read_class_counts
from fasa.mmdet.losses.base import ClassificationLoss

NEARLY_ONE = 1 - 1e-6  # the slope of the arc cosine is infinite at 1


@MODELS.register_module()
class ArcFaceAngular(ClassificationLoss):
    """Softmax over ``s cos(theta_y + a_y + m)`` and ``s cos(theta_j + a_y)`` (FASA's supplement, eq 2).

    ``theta_j`` is the angle between a RoI's feature and the classifier's weight of class ``j``. For each RoI of a tail
    class ``a_y`` is drawn from a normal distribution with the variance that its class's ``theta_y`` has less than the
    head classes' on average; it is 0 for head classes and background. The background is a class like any other.
    A single RoI's loss and scores are those of the plain cosine softmax; virtual features get the margin, no ``a_y``.

    The box head needs a cosine classifier of the same scale and no bias:
    ``cls_predictor_cfg=dict(type="NormedLinear", temperature=20, bias=False)``.

    Args:
        image_counts: training images of each class, in a list or a file (:func:`read_class_counts`).
        num_classes: ``C``.
        scale: ``s``, what the classifier multiplies its cosines by.
        margin: ``m``, in radians.
        head_images: classes with more training images than this are head classes, the others tail.
        momentum: of the running mean and variance of each class's angle.
        reduction, loss_weight: as in mmdet's losses.

    Raises:
        UserError: ``image_counts`` cannot be read or has not ``num_classes`` entries.
    """

    head: Tensor
    angle_mean: Tensor
    angle_variance: Tensor
    observations: Tensor

    def __init__(
        self,
        image_counts: Sequence[int] | str | Path,
        num_classes: int = 1203,
        scale: float = 20,
        margin: float = 0.1,
        head_images: int = 100,
        momentum: float = 0.1,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(num_classes, num_classes + 1, reduction, loss_weight)
        counts = read_class_counts(image_counts, num_classes, "image_counts of ArcFaceAngular", images=True)
        self.scale, self.margin, self.momentum = scale, margin, momentum
        self.register_buffer("head", counts > head_images, persistent=False)
        self.register_buffer("angle_mean", torch.zeros(num_classes, 1))
        self.register_buffer("angle_variance", torch.zeros(num_classes, 1))
        self.register_buffer("observations", torch.zeros(num_classes, dtype=torch.long))

    def per_example(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Losses ``[n]`` of the cosine softmax, without margin or lent angle."""
        return functional.cross_entropy(cls_score, labels, reduction="none")

    def virtual(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Losses ``[k]`` with the margin; virtual features have a spread of their own, so no angle is lent."""
        return self._angular_loss(self._angles(cls_score), labels, cls_score.new_zeros(len(labels)))

    def training_losses(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        angles = self._angles(cls_score)
        if self.training:
            self._observe(angles, labels)
        return self._angular_loss(angles, labels, torch.randn(len(labels), device=labels.device) * self._lent(labels))

    def _angles(self, cls_score: Tensor) -> Tensor:
        return (cls_score.float() / self.scale).clamp(-NEARLY_ONE, NEARLY_ONE).acos()

    def _angular_loss(self, angles: Tensor, labels: Tensor, extra: Tensor) -> Tensor:
        own = functional.one_hot(labels, self.num_classes + 1)
        # Beyond pi the cosine would rise again and reward a larger angle.
        shifted = (angles + extra[:, None] + self.margin * own).clamp(0, math.pi)
        return functional.cross_entropy(self.scale * shifted.cos(), labels, reduction="none")

    @torch.no_grad()
    def _observe(self, angles: Tensor, labels: Tensor) -> None:
        own = angles.gather(1, labels[:, None])
        batch = batch_moments(own, labels, self.num_classes, all_ranks=True)
        # Tail classes come one RoI at a time: the spread between batches must count.
        update(self.angle_mean, self.angle_variance, self.observations, batch, self.momentum, "ewm")

    @torch.no_grad()
    def _lent(self, labels: Tensor) -> Tensor:
        """Standard deviation of the angle lent to each RoI, ``[n]``, in radians."""
        heads = self.head & (self.observations > 0)
        spread = self.angle_variance.squeeze(1)
        of_heads = spread.where(heads, 0).sum() / heads.sum().clamp(min=1)
        lacking = (of_heads - spread).clamp(min=0).where(~self.head & (self.observations > 0), 0)
        return functional.pad(lacking, (0, 1)).sqrt()[labels]
