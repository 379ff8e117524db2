"""Training criteria: every example's loss and its weight in the mean, so that virtual features can share them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fasa.augmenters.base import Targets
from fasa.method.virtual_loss import weighted_sums

Losses = tuple[Tensor, Tensor]


def effective_number_weights(class_counts: Tensor, beta: float) -> Tensor:
    """Class weights ``(1 - beta) / (1 - beta^N_c)``, summing to ``C``; ``[C]`` (Cui et al. 2019; beta 0: ones)."""
    weights = (1 - beta) / (1 - beta ** class_counts.double())
    return (weights * len(weights) / weights.sum()).float()


class Criterion(nn.Module):
    """Cross entropy on adjusted logits, with class weights that may switch on late (deferred re-weighting, DRW).

    Args:
        class_counts: training images of each class, ``[C]``.
        logit_scale: factor of all logits (LDAM: 30, as its head gives cosines).
        margin: largest margin of LDAM; class ``c`` gets ``margin * (min N / N_c)^(1/4)`` (Cao et al. 2019); 0 for none.
        prior: multiple of ``log N_c`` added to the logits (Balanced Softmax, Ren et al. 2020: 1).
        drw_beta: ``beta`` of the class weights from ``drw_epoch`` on; 0 for none.
        drw_epoch: first epoch, counted from 0, with class weights.
    """

    margins: Tensor
    offsets: Tensor
    class_weights: Tensor
    deferred: Tensor

    def __init__(
        self,
        class_counts: Tensor,
        logit_scale: float = 1.0,
        margin: float = 0.0,
        prior: float = 0.0,
        drw_beta: float = 0.0,
        drw_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.logit_scale, self.drw_epoch = logit_scale, drw_epoch
        self.register_buffer("margins", (margin * (class_counts.min() / class_counts.double()) ** 0.25).float())
        self.register_buffer("offsets", (prior * class_counts.double().log()).float())
        self.register_buffer("deferred", effective_number_weights(class_counts, drw_beta))
        self.register_buffer("class_weights", torch.ones(len(class_counts)))

    def begin_epoch(self, epoch: int) -> None:
        """Switch the class weights on at ``drw_epoch``."""
        self.class_weights.copy_(self.deferred if epoch >= self.drw_epoch else torch.ones_like(self.deferred))

    def forward(self, logits: Tensor, labels: Tensor) -> Losses:
        """Losses ``[n]`` and weights ``[n]`` of logits ``[n, C]`` for labels ``[n]``."""
        margin = functional.one_hot(labels, logits.shape[1]) * self.margins
        adjusted = self.logit_scale * (logits.float() - margin) + self.offsets
        return functional.cross_entropy(adjusted, labels, reduction="none"), self.class_weights[labels]

    def validation(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy ``[n]`` on scaled logits: no margin, prior or class weight, whose switch would fake a jump."""
        return functional.cross_entropy(self.logit_scale * logits.float(), labels, reduction="none")


def target_sums(criterion: Criterion, logits: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Numerator and denominator, 0-d, of the mean loss of logits ``[n, C]`` for ``targets``.

    Of an example's two labels each weighs its share times the weight that ``criterion`` gives to it.
    """
    losses, weights = criterion(logits, targets.labels)
    if targets.others is None:
        return weighted_sums(losses, weights)
    other_losses, other_weights = criterion(logits, targets.others)
    weights, other_weights = weights * targets.own, other_weights * (1 - targets.own)
    return weighted_sums(torch.cat([losses, other_losses]), torch.cat([weights, other_weights]))
