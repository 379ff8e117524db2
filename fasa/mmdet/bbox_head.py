"""The box head of two-stage detectors with an augmenter at its classifier (section 3; release: fasa_bbox_head.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from torch import Tensor, nn

from fasa.augmenters import AUGMENTERS, Augmenter, Trainee
from fasa.errors import UserError
from fasa.mmdet.class_counts import read_class_counts
from fasa.mmdet.criterion import check_criterion, virtual


@MODELS.register_module()
class AugmentedBBoxHead(Shared2FCBBoxHead):
    """``Shared2FCBBoxHead`` whose classifier also learns from an augmenter's virtual features.

    The augmenter sees the classifier's input (after the ReLU of the second shared layer) and the label of every sampled
    RoI, background being ``num_classes``. Its loss is added into ``loss_cls``, so that the stage weights of a cascade
    multiply it too, and is logged as ``virtual``. Inference and evaluation are those of the stock head.

    Args:
        augmenter: ``{"name": …, "options": {…}}``, a name in :data:`fasa.augmenters.AUGMENTERS`; None for none.
        class_counts: training instances of each class, a list or the path of a JSON list; needed by an augmenter.

    Raises:
        UserError: an unknown augmenter or option, bad counts, or a loss that cannot tell a single RoI's loss.
    """

    augmenter: Augmenter | None

    def __init__(
        self,
        *args: Any,
        augmenter: Mapping[str, Any] | None = None,
        class_counts: Sequence[int] | str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.augmenter = None
        self._features: Tensor | None = None
        if augmenter is None:
            return
        check_criterion(self.loss_cls)
        counts = read_class_counts(class_counts, self.num_classes, "class_counts of the box head")
        self.augmenter = build_augmenter(augmenter, self._trainee(counts))
        self.fc_cls.register_forward_pre_hook(self._catch)

    def init_weights(self) -> None:
        """As stock; then the loss may set the classifier's start (``initialise``), as EQL must to be stable."""
        super().init_weights()
        if hasattr(self.loss_cls, "initialise"):
            self.loss_cls.initialise(self.fc_cls)

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
        losses = super().loss(
            cls_score, bbox_pred, rois, labels, label_weights, bbox_targets, bbox_weights, reduction_override
        )
        features, self._features = self._features, None
        if self.augmenter is None or features is None or reduction_override in ("none", "sum"):
            return losses
        # Also without any RoI: under data parallelism the statistics wait for every process.
        added = self.augmenter.loss(features, labels)
        self._features = None  # an augmenter may have called the classifier, hook and all
        if added is not None:
            losses["loss_cls"] = losses["loss_cls"] + added if "loss_cls" in losses else added
            losses["virtual"] = added.detach()
        return losses

    def _catch(self, classifier: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self.training:
            self._features = inputs[0]

    def _trainee(self, counts: Tensor) -> Trainee:
        # A detector has no single batch of labelled images to offer: those fields are None.
        nothing: Any = None
        return Trainee(
            network=nothing,
            head=self.fc_cls,
            criterion=partial(virtual, self.loss_cls),
            normalise=nothing,
            load_images=nothing,
            labels=nothing,
            class_counts=counts,
            feature_dim=self.fc_cls.in_features,
            batch=nothing,
            generator=nothing,
        )


def build_augmenter(config: Mapping[str, Any], trainee: Trainee) -> Augmenter:
    """The augmenter of ``{"name": …, "options": {…}}``.

    Raises:
        UserError: an unknown name or key, or options that the augmenter refuses.
    """
    name, options = config.get("name"), dict(config.get("options") or {})
    if name not in AUGMENTERS or set(config) - {"name", "options"}:
        raise UserError(
            f"augmenter of the box head is {dict(config)!r}; it must have a name, one of {', '.join(AUGMENTERS)}, and "
            "may have options."
        )
    try:
        with torch.no_grad():
            return AUGMENTERS[name](trainee, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"augmenter {name} of the box head refuses its options: {error}; correct them.") from error
