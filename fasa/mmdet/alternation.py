"""Alternating training: an augmenter says what learns in an epoch, and this holds the rest of the detector back."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from fasa.augmenters.base import Augmenter, Phase
from fasa.errors import UserError
from fasa.mmdet.adaptation_hook import unwrapped
from fasa.mmdet.validation_loss import stages


@HOOKS.register_module()
class AlternationHook(Hook):
    """Yin's two alternating stages, of an augmenter's ``phase``: the classifier alone, or all but the classifier.

    Gradients of what is held back are dropped before they are clipped and the optimiser steps: neither momentum nor
    weight decay moves it, and it scales nothing. They are computed all the same, since ``DistributedDataParallel``
    counts on every parameter's.
    """

    def before_train(self, runner: Runner) -> None:
        """Find the augmenters that have phases.

        Raises:
            UserError: no box head has one.
        """
        model = unwrapped(runner)
        heads = [stage.head for stage in stages(model)]
        self._heads = [head for head in heads if _has_phases(getattr(head, "augmenter", None))]
        if not self._heads:
            raise UserError(
                "AlternationHook alternates for the augmenter yin, which no box head has; remove one of them."
            )
        for head in self._heads:
            head.uncalled -= {"phase"}
        self._model, self._wrapper = model, runner.optim_wrapper
        step = self._wrapper.step  # it clips, too

        def step_of_phase(**options: Any) -> None:
            self._hold_back(self._wrapper.optimizer)
            step(**options)

        self._wrapper.step = step_of_phase

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep the statistics of batch normalisation, too, while the classifier alone learns."""
        if batch_idx == 0 and self.phase == "classifier":
            for module in self._model.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()

    def after_train(self, runner: Runner) -> None:
        del self._wrapper.step

    @property
    def phase(self) -> Phase:
        """What learns in the present epoch."""
        return self._heads[0].augmenter.phase

    def _hold_back(self, optimizer: torch.optim.Optimizer) -> None:
        if self.phase == "all":
            return
        classifiers = {id(parameter) for head in self._heads for parameter in head.fc_cls.parameters()}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if (id(parameter) in classifiers) != (self.phase == "classifier"):
                    parameter.grad = None


def _has_phases(augmenter: Augmenter | None) -> bool:
    return augmenter is not None and "phase" in augmenter.hooks()
