"""Mixup (Zhang et al., ICLR 2018): training images and their labels drawn together in pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from fasa.augmenters.base import Augmenter, ImageContext, Targets


class Mixup(Augmenter):
    """``share * x_i + (1 - share) * x_j`` for the labels of both, in the same shares (section 2).

    ``j`` runs through a random permutation of the batch, and a batch has one share, of Beta(alpha, alpha); so has the
    authors' code.

    Args:
        context: the training joined.
        alpha: the strength of the mixture; 1 draws the share uniformly.

    Raises:
        ValueError: ``alpha`` is not above 0.
    """

    needs = ImageContext
    context: ImageContext

    def __init__(self, context: ImageContext, alpha: float = 1.0) -> None:
        super().__init__(context)
        if alpha <= 0:
            raise ValueError(f"alpha is {alpha}; it must be above 0")
        self.alpha = alpha

    def images(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Targets]:
        share, partners = self._share(images.device), self.context.partners(labels)
        mixed = torch.lerp(images[partners], images, share)
        others = labels[partners]
        return mixed, Targets(labels, others, self.label_share(share, labels, others))

    def label_share(self, share: Tensor, labels: Tensor, others: Tensor) -> Tensor:
        """Of images ``share`` of which is their own, the share of ``labels [n]`` in the loss; 0-d or ``[n]``."""
        return share

    def _share(self, device: torch.device) -> Tensor:
        """Of Beta(alpha, alpha), 0-d: the first of two equal gamma variables over their sum."""
        shape = torch.full((2,), self.alpha, device=device)
        first, second = torch._standard_gamma(shape, generator=self.context.generator)  # as torch.distributions.Gamma
        return first / (first + second)
