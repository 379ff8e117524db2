"""Balanced group softmax (Li et al., CVPR 2020): a softmax for each group of classes of like size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.registry import MODELS
from torch import Tensor
from torch.nn import functional

from fasa.mmdet.class_counts import read_class_counts
from fasa.mmdet.losses.base import ClassificationLoss


@MODELS.register_module()
class BalancedGroupSoftmax(ClassificationLoss):
    """Classes grouped by their training instances, each group with an output "others", and a last group of
    foreground (its "others") and background. The loss is the sum of the groups' cross entropies.

    In a group of classes every RoI of its classes is kept and, for each of them, at most ``others`` randomly chosen
    RoIs that are not; the mean is over what is kept. A group without a RoI of its own counts nothing. The last group
    keeps all. Order of the outputs, as in the public port to LVIS v1: group after group, "others" first.

    Args:
        instance_counts: training instances of each class, in a list or a file (:func:`read_class_counts`).
        num_classes: ``C``.
        boundaries: a class belongs to the group of as many boundaries as its count reaches.
        others: ``beta``, RoIs of "others" for each RoI of the group's classes.
        reduction: ``mean`` (over kept RoIs); ``sum`` and ``none`` keep every RoI in every group.
        loss_weight: as in mmdet's losses.

    Raises:
        UserError: ``instance_counts`` cannot be read or has not ``num_classes`` entries.
    """

    group: Tensor
    position: Tensor
    channel: Tensor

    def __init__(
        self,
        instance_counts: Sequence[int] | str | Path,
        num_classes: int = 1203,
        boundaries: Sequence[int] = (10, 100, 1000),
        others: float = 8,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        groups = len(boundaries) + 2
        super().__init__(num_classes, num_classes + 1 + groups, reduction, loss_weight)
        counts = read_class_counts(instance_counts, num_classes, "instance_counts of BalancedGroupSoftmax")
        self.others = others
        of_class = torch.bucketize(counts, torch.tensor(sorted(boundaries)), right=True)
        group = functional.pad(of_class, (0, 1), value=groups - 1)  # the last group is the background's
        member = functional.one_hot(group, groups)
        sizes = member.sum(0) + 1
        position = member.cumsum(0).gather(1, group[:, None]).squeeze(1)  # in the group; 0 is "others"
        self.sizes: list[int] = sizes.tolist()  # outputs of each group
        # Not in the checkpoint: they follow from the config, and the weights of a stage one load without them.
        self.register_buffer("group", group, persistent=False)  # [C + 1]
        self.register_buffer("position", position, persistent=False)  # [C + 1]
        self.register_buffer("channel", (sizes.cumsum(0) - sizes)[group] + position, persistent=False)  # [C + 1]

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Logits to scores ``[n, C + 1]``: a class's share of its group times P(foreground); last, P(background)."""
        shares = torch.cat([group.softmax(1) for group in cls_score.split(self.sizes, 1)], 1)
        scores = shares[:, self.channel]
        foreground = shares[:, -2:-1]
        return torch.cat([scores[:, :-1] * foreground, scores[:, -1:]], 1)

    def per_example(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Losses ``[n]``: the sum of all groups' cross entropies of each RoI, none left out."""
        return self.group_losses(cls_score, labels)[0].sum(0)

    def virtual(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Loss, 0-d, of virtual features: foreground, and "others" only in groups that have a feature of their own."""
        return self._sampled_mean(cls_score, labels, None)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """mmdet's interface; the mean does not use ``avg_factor``, as each group averages over what it keeps."""
        if (reduction_override or self.reduction) == "mean":
            return self.loss_weight * self._sampled_mean(cls_score, label, weight)
        return super().forward(cls_score, label, weight, None, reduction_override)

    def group_losses(self, cls_score: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy of each group and RoI, and whether the RoI is of the group's own classes, both ``[G, n]``."""
        own = self.group[labels] == torch.arange(len(self.sizes), device=labels.device)[:, None]
        targets = self.position[labels].where(own, 0)
        losses = [
            functional.cross_entropy(logits, target, reduction="none")
            for logits, target in zip(cls_score.split(self.sizes, 1), targets, strict=True)
        ]
        return torch.stack(losses), own

    def _sampled_mean(self, cls_score: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
        losses, own = self.group_losses(cls_score, labels)
        counted = torch.ones_like(own) if weight is None else (weight > 0).expand_as(own)
        kept = self.keep(own & counted, ~own & counted)
        weighted = losses if weight is None else losses * weight
        return (weighted.where(kept, 0).sum(1) / kept.sum(1).clamp(min=1)).sum()

    def keep(self, own: Tensor, other: Tensor) -> Tensor:
        """Own RoIs and, at random, at most ``others`` times as many others in each group, ``[G, n]``; static shapes."""
        draw = torch.rand(own.shape, device=own.device).masked_fill(~other, 2)
        rank = draw.argsort(1).argsort(1)  # the others first, in random order
        kept = own | (other & (rank < (own.sum(1, keepdim=True) * self.others).floor()))
        kept[-1] = own[-1] | other[-1]
        return kept
