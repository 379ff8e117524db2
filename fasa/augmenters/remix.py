"""Remix (Chou et al., ECCV 2020 workshops): Mixup whose labels are the minority's where the classes' sizes differ."""

from __future__ import annotations

import torch
from torch import Tensor

from fasa.augmenters.base import ImageContext
from fasa.augmenters.mixup import Mixup


class Remix(Mixup):
    """Images as Mixup's; an example of a frequent and a rare class has the rare one's label alone (section 3).

    Of ``x_i`` and ``x_j``, ``share`` and ``1 - share`` of the image and of classes with ``n_i`` and ``n_j`` images, the
    label is ``y_j`` if ``n_i / n_j >= kappa`` and ``share < tau``; ``y_i`` if ``n_i / n_j <= 1 / kappa`` and
    ``1 - share < tau``; else it is shared as the image is.

    Args:
        context: the training joined.
        alpha: Mixup's.
        kappa: from this ratio of their sizes on, classes are a majority and a minority.
        tau: the minority takes over the label where the majority's share of the image is below this.

    Raises:
        ValueError: ``alpha`` is not above 0, ``kappa`` below 1 or ``tau`` outside [0, 1].
    """

    def __init__(self, context: ImageContext, alpha: float = 1.0, kappa: float = 3.0, tau: float = 0.5) -> None:
        super().__init__(context, alpha)
        if not (kappa >= 1 and 0 <= tau <= 1):
            raise ValueError("kappa must be at least 1, tau between 0 and 1")
        self.kappa, self.tau = kappa, tau

    def label_share(self, share: Tensor, labels: Tensor, others: Tensor) -> Tensor:
        ours, theirs = self.context.counts_of(labels), self.context.counts_of(others)
        minority_is_other = (ours >= self.kappa * theirs) & (share < self.tau)
        minority_is_own = (theirs >= self.kappa * ours) & (1 - share < self.tau)
        return torch.where(minority_is_other, 0.0, torch.where(minority_is_own, 1.0, share))
