"""Rivals of FASA that need the maps of RoIs: MoEx and the feature space augmentation of Chu et al.

Both are box heads; boxes, masks and inference are those of the stock head.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from torch import Tensor

from fasa.augmenters.moex import exchange_moments, random_partners
from fasa.errors import UserError
from fasa.mmdet.bbox_head import AugmentedBBoxHead
from fasa.mmdet.class_counts import read_class_counts
from fasa.mmdet.criterion import check_criterion, class_probabilities, virtual
from fasa.mmdet.roi_chu import RoIChu


class MapBBoxHead(AugmentedBBoxHead):
    """A box head that has its RoIs' maps at hand when it computes its loss."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._maps: Tensor | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and box deltas of maps ``[n, d, h, w]``."""
        self._maps = x if self.training else None
        return super().forward(x)

    def embed(self, maps: Tensor) -> Tensor:
        """The classifier's input of maps ``[n, d, h, w]``, ``[n, D]``."""
        features = maps.flatten(1)
        for layer in self.shared_fcs:
            features = self.relu(layer(features))
        return features


@MODELS.register_module()
class MoExBBoxHead(MapBBoxHead):
    """Foreground RoIs are classified from maps with another one's moments, for both labels (MoEx).

    Background RoIs and the regression of boxes see the maps as they are.

    Args:
        probability: share of the steps that do so (supplement, table 7: 1).
        own: ``lambda``, weight of a RoI's own label (original on ImageNet: 0.9).
        epsilon: added to the variance (supplement, table 7).
        arguments: those of ``Shared2FCBBoxHead``.

    Raises:
        UserError: an argument outside [0, 1], or a loss that is not of the box head's kind.
    """

    def __init__(
        self, *arguments: Any, probability: float = 1.0, own: float = 0.9, epsilon: float = 1e-5, **keywords: Any
    ) -> None:
        super().__init__(*arguments, **keywords)
        if not (0 <= probability <= 1 and 0 <= own <= 1):
            raise UserError("MoExBBoxHead: probability and own lie between 0 and 1; correct them.")
        if self.augmenter is not None:
            raise UserError("MoExBBoxHead mixes labels and so has no augmenter; choose one of the two.")
        self.probability, self.own, self.epsilon = probability, own, epsilon

    def loss(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """The stock losses, with classification mixed while training; ``labels [n]`` in ``0..C``."""
        maps, self._maps = self._maps, None
        rest = (rois, labels, label_weights, bbox_targets, bbox_weights, reduction_override)
        if maps is None or (self.probability < 1 and float(torch.rand(())) >= self.probability):
            return super().loss(cls_score, bbox_pred, *rest)
        # A quarter of the RoIs; mmdet's own loss waits for the device, too.
        foreground = (labels < self.num_classes).nonzero().squeeze(1)
        if not len(foreground):
            return super().loss(cls_score, bbox_pred, *rest)
        partners = random_partners(len(foreground), device=labels.device)
        mixed = exchange_moments(maps[foreground].float(), partners, self.epsilon)
        cls_score = cls_score.index_copy(0, foreground, self.fc_cls(self.embed(mixed)).to(cls_score.dtype))
        losses = super().loss(cls_score, bbox_pred, *rest)
        others = self.loss_cls(
            cls_score,
            labels.index_copy(0, foreground, labels[foreground[partners]]),
            label_weights,
            avg_factor=(label_weights > 0).sum().clamp(min=1),
            reduction_override=reduction_override,
        )
        losses["loss_cls"] = torch.lerp(others, losses["loss_cls"], self.own)
        return losses


@MODELS.register_module()
class ChuBBoxHead(MapBBoxHead):
    """The classifier also learns from tail RoIs whose class-generic positions come from confusing ones (Chu et al.).

    Args:
        class_counts: training instances of each class, a list or the path of a JSON list.
        chu: options of :class:`~fasa.mmdet.roi_chu.RoIChu`.
        arguments: those of ``Shared2FCBBoxHead``.

    Raises:
        UserError: bad counts or options, or a loss that cannot tell a single RoI's loss.
    """

    def __init__(
        self,
        *arguments: Any,
        class_counts: Sequence[int] | str | Path | None = None,
        chu: dict[str, Any] | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(*arguments, **keywords)
        if self.augmenter is not None:
            raise UserError("ChuBBoxHead is an augmenter; give it no other.")
        check_criterion(self.loss_cls)
        counts = read_class_counts(class_counts, self.num_classes, "class_counts of the box head")
        try:
            self.augmenter = RoIChu(counts, **(chu or {}))
        except (TypeError, ValueError) as error:
            raise UserError(f"chu of the box head: {error}; correct it.") from error

    def loss(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """The stock losses, with the synthetic RoIs' in ``loss_cls`` while training; ``labels [n]`` in ``0..C``."""
        maps, self._maps = self._maps, None
        losses = super().loss(
            cls_score, bbox_pred, rois, labels, label_weights, bbox_targets, bbox_weights, reduction_override
        )
        if maps is None or "loss_cls" not in losses or reduction_override in ("none", "sum"):
            return losses
        with torch.no_grad():
            probabilities = class_probabilities(self.loss_cls, cls_score.detach().float())[:, : self.num_classes]
            made, names = self.augmenter.synthesise(maps.detach().float(), labels, probabilities, self._score)
            features = self.embed(made)
        if len(names):
            added = self.augmenter.loss_weight * virtual(self.loss_cls, self.fc_cls(features), names).mean()
            losses["loss_cls"] = losses["loss_cls"] + added
            losses["virtual"] = added.detach()
        return losses

    def _score(self, maps: Tensor) -> Tensor:
        return self.fc_cls(self.embed(maps))
