"""Virtual features drawn as FASA draws them, from any generator: what its rivals in feature space have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fasa.augmenters.base import Augmenter, Batch, TrainingContext, Validation
from fasa.method.distributed import all_gather, is_distributed
from fasa.method.sampling import initial_probabilities
from fasa.method.virtual_loss import virtual_loss

SHARED_ROWS = 256  # of each process's batch: all positive RoIs of two images (a quarter of 512 each)


class FeatureAugmenter(Augmenter):
    """Static sampling (table 3: ``s = 5``) with another generator than eq 3, so that only the generator differs.

    In each step every class that :meth:`ready` allows is drawn with probability ``p_c`` (eq 4) and gives one virtual
    feature; their mean loss, times ``loss_weight``, trains the classifier alone. Subclasses say how a feature is made.

    Args:
        context: the training joined.
        draws_per_step: ``s`` of eq 4.
        loss_weight: factor of the mean virtual loss.
        start_epoch: first epoch, counted from 0, with virtual features.

    Raises:
        ValueError: an argument outside its range.
    """

    needs_scores = False
    probabilities: Tensor
    epoch: Tensor

    def __init__(
        self,
        context: TrainingContext,
        draws_per_step: float = 5.0,
        loss_weight: float = 0.1,
        start_epoch: int = 1,
    ) -> None:
        super().__init__(context)
        if draws_per_step < 0 or loss_weight < 0:
            raise ValueError("draws_per_step and loss_weight must not be negative")
        self.loss_weight, self.start_epoch = loss_weight, start_epoch
        self.classes = len(context.class_counts)
        self.register_buffer("probabilities", initial_probabilities(context.class_counts, draws_per_step))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))

    def observe(self, features: Tensor, labels: Tensor) -> None:
        """See real ``features [n, d]``, detached, of ``labels [n]``; labels outside ``[0, C)`` are background."""
        raise NotImplementedError

    def ready(self) -> Tensor:
        """Which classes a feature can be made of, boolean ``[C]``."""
        raise NotImplementedError

    def make(self, classes: Tensor) -> Tensor:
        """One virtual feature of each of ``classes [k]``, ``[k, d]``, without gradient."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        """The virtual loss, 0-d; 0 before ``start_epoch``, in eval mode or without a draw."""
        if not self.training:
            return batch.features.new_zeros(())
        with torch.no_grad():
            self.observe(batch.features.detach().float(), batch.labels)
        return self.virtual_loss()

    def virtual_loss(self) -> Tensor:
        """``loss_weight`` times the mean loss of this step's virtual features; 0-d."""
        chance = torch.rand(self.classes, generator=self.context.generator, device=self.probabilities.device)
        drawn = (chance < self.probabilities) & self.ready() & (self.epoch >= self.start_epoch)
        total, weight = virtual_loss(drawn, self.make, self.context.classifier, self.context.criterion)
        return self.loss_weight * total / weight

    def end_epoch(self, validate: Callable[[], Validation]) -> dict[str, Any]:
        """Count the epoch; nothing is adapted, so nothing is validated."""
        self.epoch += 1
        return {"probabilities": self.probabilities.tolist()}


def share_foreground(features: Tensor, labels: Tensor, classes: int, rows: int = SHARED_ROWS) -> tuple[Tensor, Tensor]:
    """Foreground features of all processes, in rank order, padded with label ``classes``.

    Each process gives its first ``rows`` foreground features: fixed shapes, so that no process waits for another's
    count. Alone, a process keeps what it has.

    Returns:
        ``features [m, d]`` and ``labels [m]``.
    """
    if not is_distributed():
        return features, labels
    foreground = (labels >= 0) & (labels < classes)
    first = (~foreground).long().argsort(stable=True)[:rows]
    shared = features.new_zeros(rows, features.shape[1])
    names = labels.new_full((rows,), classes)
    shared[: len(first)] = features[first]
    names[: len(first)] = labels[first].where(foreground[first], classes)
    return all_gather(shared), all_gather(names)
