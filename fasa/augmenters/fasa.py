"""FASA as an augmenter: virtual features of the classifier's input, sampled as the held-out loss says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from fasa import method
from fasa.augmenters.base import Augmenter, Batch, ImageContext, TrainingContext, Validation
from fasa.method.virtual_loss import VirtualLoss, of_each_example

PRESETS = {"fasa_paper": method.fasa_paper, "fasa_released": method.fasa_released}


class FasaAugmenter(Augmenter):
    """Zang et al., ICCV 2021. ``options`` are those of :class:`fasa.FASA`, on top of a ``preset``.

    ``unweighted_virtual_loss`` takes the loss of virtual features as that of held-out images is taken: without the
    margins and class weights of the training (docs/deviations.md, row 27). ``joint_mean`` takes one mean over real and
    virtual examples, in which ``loss_weight`` plays no part, in place of a mean of the virtual ones (row 9).

    Raises:
        ValueError: an unknown preset, ``unweighted_virtual_loss`` where the criterion has no such form, or
            ``joint_mean`` where it gives no loss of each example.
    """

    needs_scores = False

    def __init__(
        self,
        context: TrainingContext,
        preset: Literal["fasa_paper", "fasa_released"] = "fasa_paper",
        unweighted_virtual_loss: bool = False,
        joint_mean: bool = False,
        **options: Any,
    ) -> None:
        if preset not in PRESETS:
            raise ValueError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
        if unweighted_virtual_loss:
            if not isinstance(context, ImageContext):
                raise ValueError(
                    "unweighted_virtual_loss is true, but this criterion has no form without margins and class weights"
                )
            context = replace(context, criterion=context.unweighted_criterion)
        super().__init__(context)
        self.joint_mean = joint_mean
        if joint_mean:  # a criterion that cannot serve it is refused now, not at the first draw
            label = torch.zeros(1, dtype=torch.long, device=context.class_counts.device)
            feature = torch.zeros(1, context.feature_dim, device=label.device)
            of_each_example(context.criterion)(context.classifier(feature), label)
        self.fasa = method.FASA(
            context.class_counts,
            context.feature_dim,
            **{**PRESETS[preset], **options},
            generator=context.generator,
        )

    @classmethod
    def adapts(cls, options: Mapping[str, Any]) -> bool:
        return bool(options.get("adaptive", True))

    def loss(self, batch: Batch) -> Tensor | VirtualLoss:
        self.fasa.observe(batch.features, batch.labels)
        if self.joint_mean:
            return self.fasa.weighted_loss(self.context.classifier, self.context.criterion)
        return self.fasa.loss(self.context.classifier, self.context.criterion)

    def end_epoch(self, validate: Callable[[], Validation]) -> dict[str, Any]:
        used = self.fasa.probabilities.tolist()
        if self.fasa.adaptive:
            held_out = validate()
            self.fasa.adapt(held_out.loss if self.fasa.adapt_on == "loss" else held_out.correct, held_out.count)
        else:
            self.fasa.adapt()
        return {"probabilities": used, "groups": self.fasa.groups.tolist()}
