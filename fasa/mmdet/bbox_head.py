"""The box head of two-stage detectors with an augmenter at its classifier (section 3; release: fasa_bbox_head.py)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from torch import Tensor

from fasa.augmenters.base import Augmenter, Batch, RoIContext, Targets, build_augmenter
from fasa.errors import UserError
from fasa.method.virtual_loss import VirtualLoss, total_loss
from fasa.mmdet.class_counts import read_class_counts
from fasa.mmdet.criterion import check_criterion, class_probabilities, virtual

CALLED_BY = {"begin_epoch": "AdaptationHook", "end_epoch": "AdaptationHook", "phase": "AlternationHook"}


class RoIScores(Tensor):
    """Logits ``[n, channels]`` of RoIs that bring along the ``maps`` and ``features`` they were computed from.

    MMDetection takes only scores and boxes from a head's forward pass to its loss. All code on that way, and autograd,
    sees an ordinary tensor; what is computed from one is one.
    """

    maps: Tensor
    features: Tensor

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # as for nn.Parameter

    @classmethod
    def of(cls, scores: Tensor, maps: Tensor, features: Tensor) -> RoIScores:
        """``scores``, with what they came from."""
        made = scores.as_subclass(cls)
        made.maps, made.features = maps, features
        return made


@MODELS.register_module()
class AugmentedBBoxHead(Shared2FCBBoxHead):
    """``Shared2FCBBoxHead`` with an augmenter at its classifier.

    The augmenter sees the map, the feature (the classifier's input, after the ReLU of the second shared layer), the
    scores and the label of every sampled RoI, background being ``num_classes``; of epochs an ``AdaptationHook`` tells
    it, of phases an ``AlternationHook``. It may change what the classification loss is of. Its own loss is added into
    ``loss_cls``, or joins its mean, so that the stage weights of a cascade multiply it too, and is logged as
    ``virtual``. Boxes, masks, inference and evaluation are those of the stock head.

    Args:
        augmenter: ``{"name": …, "options": {…}}``, the name of one of ours or of an installed package; None for none.
        class_counts: training instances of each class, a list or the path of a JSON list; needed by an augmenter.

    Raises:
        UserError: an unknown augmenter or option, bad counts, or a loss that cannot tell a single RoI's loss.
    """

    augmenter: Augmenter | None
    uncalled: frozenset[str] = frozenset()  # what the augmenter has of CALLED_BY, less what those hooks say they call

    def __init__(
        self,
        *args: Any,
        augmenter: Mapping[str, Any] | None = None,
        class_counts: Sequence[int] | str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.augmenter = None
        if augmenter is None:
            return
        if set(augmenter) - {"options"} != {"name"}:
            raise UserError(
                f"augmenter of the box head is {dict(augmenter)!r}; it must have a name, and may have options."
            )
        check_criterion(self.loss_cls)
        context = RoIContext(
            classifier=self.fc_cls,
            embed=self.embed,
            criterion=partial(virtual, self.loss_cls),
            class_counts=read_class_counts(class_counts, self.num_classes, "class_counts of the box head"),
            feature_dim=self.fc_cls.in_features,
            class_probabilities=partial(class_probabilities, self.loss_cls),
        )
        self.augmenter = build_augmenter(augmenter["name"], augmenter.get("options") or {}, context, "the box head")
        self.uncalled = frozenset(self.augmenter.hooks() & CALLED_BY.keys())

    def init_weights(self) -> None:
        """As stock; then the loss may set the classifier's start (``initialise``), as EQL must to be stable."""
        super().init_weights()
        if hasattr(self.loss_cls, "initialise"):
            self.loss_cls.initialise(self.fc_cls)

    def embed(self, maps: Tensor) -> Tensor:
        """The classifier's input ``[n, d]`` of RoIs' maps ``[n, c, h, w]``."""
        if self.with_avg_pool:
            maps = self.avg_pool(maps)
        features = maps.flatten(1)
        for layer in self.shared_fcs:
            features = self.relu(layer(features))
        return features

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scores ``[n, channels]`` and box deltas of RoIs' maps ``[n, c, h, w]``, as stock.

        While training with an augmenter the scores are :class:`RoIScores`.
        """
        if self.augmenter is None or not self.training:
            return super().forward(x)
        features = self.embed(x)
        scores = RoIScores.of(self.fc_cls(features), x, features)
        return scores, self.fc_reg(features) if self.with_reg else None

    def loss(
        self,
        cls_score: Tensor | None,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """The stock losses, with the augmenter's in ``loss_cls`` while training; ``labels [n]`` as in the forward."""
        boxes = (label_weights, bbox_targets, bbox_weights, reduction_override)
        if self.augmenter is None or not isinstance(cls_score, RoIScores) or reduction_override in ("none", "sum"):
            return super().loss(cls_score, bbox_pred, rois, labels, *boxes)
        if self.uncalled:
            hooks = " and ".join(f'dict(type="{name}")' for name in sorted({CALLED_BY[hook] for hook in self.uncalled}))
            warnings.warn(
                f"{type(self.augmenter).__name__} acts between steps, too, and nothing calls its "
                f"{', '.join(sorted(self.uncalled))}: put {hooks} among custom_hooks. FASA draws nothing without it.",
                stacklevel=2,
            )
            self.uncalled = frozenset()  # once is enough
        batch = Batch(cls_score.maps, cls_score.features, cls_score, labels)
        mixed = self.augmenter.mix(batch)
        if mixed is None:
            losses = super().loss(cls_score, bbox_pred, rois, labels, *boxes)
        else:
            scores, targets = mixed[0], Targets.of(mixed[1])
            losses = super().loss(None, bbox_pred, rois, labels, *boxes)
            if targets.others is None:
                losses |= super().loss(scores, None, rois, targets.labels, *boxes)
            else:
                losses["loss_cls"] = self._shared_loss(
                    scores, targets.labels, targets.others, targets.own, label_weights
                )
        # Also without any RoI: under data parallelism the statistics wait for every process.
        added = self.augmenter.loss(batch)
        if added is not None:
            real = losses.get("loss_cls", label_weights.new_zeros(()))
            losses["loss_cls"] = total_loss(real, (label_weights > 0).sum(), added)
            mean = added.total / added.weight if isinstance(added, VirtualLoss) else added
            losses["virtual"] = mean.detach()
        return losses

    def _shared_loss(
        self, scores: Tensor, labels: Tensor, others: Tensor, own: Tensor | float, weights: Tensor
    ) -> Tensor:
        """The loss of two labels of each RoI by their shares, 0-d.

        BAGS averages over the RoIs that it keeps: it keeps none for a label without a share.
        """
        counted = (weights > 0).sum().clamp(min=1)
        first = self.loss_cls(scores, labels, weights * own, avg_factor=counted)
        return first + self.loss_cls(scores, others, weights * (1 - own), avg_factor=counted)
