"""Balanced Softmax (Ren et al., NeurIPS 2020) for a box head: training adds the log prior, inference does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import MODELS
from torch import Tensor
from torch.nn import functional

from fasa.mmdet.class_counts import read_class_counts
from fasa.mmdet.losses.base import ClassificationLoss


@MODELS.register_module()
class BalancedSoftmax(ClassificationLoss):
    """Cross entropy of ``z_c + log(N_c / mean N)`` for the classes and of ``z`` as it is for the background.

    The offset is the log of how often training shows a class over how often a set with equally many objects of each
    class would, at the same share of background. So the plain softmax of ``z``, which inference takes, is the posterior
    on such a set: the classes are balanced, and the background is as likely as ever. The authors' own code for
    detectors is a sigmoid form without a background output.

    Args:
        instance_counts: ``N``, training instances of each class, in a list or a file (:func:`read_class_counts`).
        num_classes: ``C``.
        reduction, loss_weight: as in mmdet's losses.

    Raises:
        UserError: ``instance_counts`` cannot be read or has not ``num_classes`` entries.
    """

    offsets: Tensor

    def __init__(
        self,
        instance_counts: Sequence[int] | str | Path,
        num_classes: int = 1203,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(num_classes, num_classes + 1, reduction, loss_weight)
        counts = read_class_counts(instance_counts, num_classes, "instance_counts of BalancedSoftmax").double()
        # Not in the checkpoint: they follow from the config, and the weights of a stage one load without them.
        offsets = functional.pad((counts / counts.mean()).log(), (0, 1))
        self.register_buffer("offsets", offsets.float(), persistent=False)  # [C + 1]

    def per_example(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Cross entropies ``[n]`` of the plain logits ``[n, C + 1]``, as inference has them."""
        return functional.cross_entropy(cls_score, labels, reduction="none")

    def virtual(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Losses ``[k]`` with the log prior: virtual features are training examples."""
        return self.training_losses(cls_score, labels)

    def training_losses(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(cls_score + self.offsets, labels, reduction="none")
