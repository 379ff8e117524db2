"""MoEx: moments of one example given to another (Li et al., "On Feature Normalization and Data Augmentation", 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from fasa.augmenters.base import Augmenter, Batch, Targets, TrainingContext


class MoEx(Augmenter):
    """Foreground examples are classified from maps with another one's moments, for both labels.

    The loss becomes ``own * L(own labels) + (1 - own) * L(partners' labels)``. Background RoIs and the regression of
    boxes see the maps as they are.

    Args:
        context: the training joined.
        probability: share of the steps that do so (supplement, table 7: 1).
        own: ``lambda``, weight of an example's own label (original on ImageNet: 0.9).
        epsilon: added to the variance (supplement, table 7).

    Raises:
        ValueError: an argument outside [0, 1].
    """

    graphable = False  # the number of foreground examples varies

    def __init__(
        self, context: TrainingContext, probability: float = 1.0, own: float = 0.9, epsilon: float = 1e-5
    ) -> None:
        super().__init__(context)
        if not (0 <= probability <= 1 and 0 <= own <= 1):
            raise ValueError("probability and own must lie between 0 and 1")
        self.probability, self.own, self.epsilon = probability, own, epsilon
        self.classes = len(context.class_counts)

    def mix(self, batch: Batch) -> tuple[Tensor, Targets] | None:
        maps, _, scores, labels = batch
        if self.probability < 1 and self._chance() >= self.probability:
            return None
        foreground = ((labels >= 0) & (labels < self.classes)).nonzero().squeeze(1)
        if not len(foreground):
            return None
        partners = random_partners(len(foreground), self.context.generator, labels.device)
        mixed = exchange_moments(maps[foreground].float(), partners, self.epsilon)
        classified = self.context.classifier(self.context.embed(mixed)).to(scores.dtype)
        others = labels.index_copy(0, foreground, labels[foreground[partners]])
        return scores.index_copy(0, foreground, classified), Targets(labels, others, self.own)

    def _chance(self) -> float:
        generator = self.context.generator
        return float(torch.rand((), generator=generator, device=generator.device if generator else None))


def exchange_moments(maps: Tensor, partners: Tensor, epsilon: float = 1e-5) -> Tensor:
    """``maps [n, d, h, w]`` with the moments of ``maps[partners]``, ``partners [n]``.

    The moments are those of positional normalisation (PONO): mean and standard deviation over the ``d`` channels at
    each position; ``epsilon`` is added to the variance, which is the unbiased one (released code).
    """
    variance, mean = torch.var_mean(maps, dim=1, keepdim=True)
    deviation = (variance + epsilon).sqrt()
    return (maps - mean) / deviation * deviation[partners] + mean[partners]


def random_partners(count: int, generator: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
    """A random permutation ``[count]``: everyone gives its moments once, sometimes to itself."""
    return torch.randperm(count, generator=generator, device=device)
