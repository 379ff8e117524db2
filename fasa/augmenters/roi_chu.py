"""Feature space augmentation (Chu et al., ECCV 2020) on the maps of RoIs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fasa.augmenters.base import Augmenter, Batch, RoIContext
from fasa.augmenters.chu import stretched, tail_classes
from fasa.method.statistics import batch_moments
from fasa.method.virtual_loss import mean_loss


class RoIChu(Augmenter):
    """Maps of tail RoIs with what is generic in them replaced by the generic positions of a confusing class's RoI.

    Of each foreground RoI of a tail class in the batch ``per_roi`` samples are made. For each, one of the class's
    ``confusing`` classes is drawn, and one of its RoIs in the batch; without one, the sample is left out. A position
    stays if its class activation in the tail RoI is at least ``specific``; else the partner's takes its place, if its
    activation for the partner's class is at most ``generic``.

    Args:
        context: the training joined.
        specific: ``T_s`` (supplement, table 7).
        generic: ``T_g`` (supplement, table 7).
        confusing: ``N_f``, classes that the classifier most often takes a class for.
        per_roi: ``N_a``.
        head_share: head classes are the fewest that hold this share of all instances.
        loss_weight: factor of the samples' mean loss.
        start_epoch: first epoch, counted from 0, with samples.
        momentum: of the running mean probabilities, by which classes confuse.

    Raises:
        ValueError: an argument outside its range.
    """

    needs = RoIContext
    graphable = False  # the number of samples varies

    context: RoIContext
    confusion: Tensor
    observations: Tensor
    tail: Tensor

    def __init__(
        self,
        context: RoIContext,
        specific: float = 0.3,
        generic: float = 0.6,
        confusing: int = 3,
        per_roi: int = 3,
        head_share: float = 0.9,
        loss_weight: float = 0.1,
        start_epoch: int = 1,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(context)
        if not (confusing >= 1 and per_roi >= 1 and loss_weight >= 0 and 0 < momentum <= 1 and 0 < head_share <= 1):
            raise ValueError(
                "confusing and per_roi must be at least 1, loss_weight not negative, momentum and head_share in (0, 1]"
            )
        classes = len(context.class_counts)
        self.specific, self.generic, self.per_roi, self.momentum = specific, generic, per_roi, momentum
        self.confusing = min(confusing, classes - 1)
        self.loss_weight, self.start_epoch = loss_weight, start_epoch
        self.epoch = 0
        self.register_buffer("confusion", torch.zeros(classes, classes))
        self.register_buffer("observations", torch.zeros(classes, dtype=torch.long))
        self.register_buffer("tail", tail_classes(context.class_counts, head_share), persistent=False)

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def loss(self, batch: Batch) -> Tensor | None:
        """The samples' mean loss, times ``loss_weight``; None without any."""
        with torch.no_grad():
            probabilities = self.context.class_probabilities(batch.scores.detach().float())[:, : len(self.tail)]
            maps, labels = self.synthesise(batch.maps.detach().float(), batch.labels, probabilities)
            if not len(labels):
                return None
            features = self.context.embed(maps)
        return self.loss_weight * mean_loss(self.context.criterion(self.context.classifier(features), labels))

    @torch.no_grad()
    def synthesise(self, maps: Tensor, labels: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Synthetic maps and their labels.

        Args:
            maps: of RoIs, ``[n, c, h, w]``.
            labels: ``[n]``; others than ``0..C - 1`` are background.
            probabilities: of the foreground classes, ``[n, C]``.

        Returns:
            ``maps [k, c, h, w]`` and ``labels [k]``; ``k`` varies.
        """
        self._observe(probabilities, labels)
        if self.epoch < self.start_epoch:
            return maps[:0], labels[:0]
        foreground = (labels < len(self.tail)).nonzero().squeeze(1)
        maps, labels = maps[foreground], labels[foreground]
        own = self.tail[labels].nonzero().squeeze(1).repeat_interleave(self.per_roi)
        closest = self.confusion.clone().fill_diagonal_(-1)[labels[own]].topk(self.confusing, 1).indices
        chosen = torch.randint(self.confusing, (len(own), 1), generator=self.context.generator, device=own.device)
        partners_of = labels[None] == closest.gather(1, chosen)  # [samples, RoIs]
        found = partners_of.any(1).nonzero().squeeze(1)
        if not len(found):
            return maps[:0], labels[:0]
        own, partners_of = own[found], partners_of[found]
        chance = torch.rand(partners_of.shape, generator=self.context.generator, device=own.device)
        partner = chance.masked_fill(~partners_of, -1).argmax(1)
        activation = class_activation(maps, labels, self._score)
        taken = (activation[own] < self.specific) & (activation[partner] <= self.generic)
        return torch.where(taken[:, None], maps[partner], maps[own]), labels[own]

    def _observe(self, probabilities: Tensor, labels: Tensor) -> None:
        batch = batch_moments(probabilities, labels, len(self.tail), all_ranks=True)
        weight = torch.where(self.observations == 0, 1.0, self.momentum).where(batch.samples > 0, 0)
        self.confusion.lerp_(batch.mean, weight[:, None])
        self.observations += batch.samples.long()

    def _score(self, maps: Tensor) -> Tensor:
        return self.context.classifier(self.context.embed(maps))


def class_activation(maps: Tensor, labels: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
    """What each position gives to the logit of its RoI's class, scaled to 0..1 in each RoI; ``[n, h, w]``.

    Gradient times map, summed over channels: for a linear classifier on pooled maps this is the class activation map of
    Zhou et al.; fully connected layers over positions have no such map of their own.
    """
    with torch.enable_grad():
        maps = maps.detach().requires_grad_()
        logits = score(maps).gather(1, labels[:, None]).sum()
        (gradient,) = torch.autograd.grad(logits, maps)
    activation = (gradient * maps.detach()).sum(1)
    return stretched(activation.flatten(1)).view_as(activation)
