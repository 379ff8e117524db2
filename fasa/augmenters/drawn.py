"""Virtual features drawn as FASA draws them, from any generator: what its rivals in feature space have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from fasa.augmenters.base import Augmenter, Trainee, Validation
from fasa.method.sampling import initial_probabilities

SHARED_ROWS = 256  # of each process's batch: all positive RoIs of two images (a quarter of 512 each)


class DrawnFeatures(Augmenter):
    """Static sampling (table 3: ``s = 5``) with another generator than eq 3, so that only the generator differs.

    In each step every class that :meth:`ready` allows is drawn with probability ``p_c`` (eq 4) and gives one virtual
    feature; their mean loss, times ``loss_weight``, trains the classifier alone. Subclasses say how a feature is made.

    Args:
        trainee: the training joined.
        scale: ``s`` of eq 4.
        loss_weight: factor of the mean virtual loss.
        start_epoch: first epoch, counted from 0, with virtual features.

    Raises:
        ValueError: an argument outside its range.
    """

    probabilities: Tensor
    epoch: Tensor

    def __init__(self, trainee: Trainee, scale: float = 5.0, loss_weight: float = 0.1, start_epoch: int = 1) -> None:
        super().__init__(trainee)
        if scale < 0 or loss_weight < 0:
            raise ValueError("scale and loss_weight must not be negative")
        self.loss_weight, self.start_epoch = loss_weight, start_epoch
        counts = torch.as_tensor(trainee.class_counts)
        self.classes = len(counts)
        self.generator = trainee.generator
        # Not registered as submodules: they belong to the trainee, and a checkpoint should hold them once.
        self._classifier: Callable[[Tensor], Tensor] = trainee.head.forward
        self._criterion = trainee.criterion
        self.register_buffer("probabilities", initial_probabilities(counts, scale))
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

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """The virtual loss, 0-d; 0 before ``start_epoch``, in eval mode or without a draw."""
        if not self.training:
            return features.new_zeros(())
        with torch.no_grad():
            self.observe(features.detach().float(), labels)
        return self.virtual_loss()

    def virtual_loss(self) -> Tensor:
        """``loss_weight`` times the mean loss of this step's virtual features; 0-d."""
        with torch.no_grad():
            chance = torch.rand(self.classes, generator=self.generator, device=self.probabilities.device)
            drawn = (chance < self.probabilities) & self.ready() & (self.epoch >= self.start_epoch)
            every = torch.arange(self.classes, device=drawn.device)
            # On a GPU a feature of every class, of which those not drawn weigh nothing: no synchronisation.
            chosen = every if self._static_shapes() else every[drawn]
            virtual = self.make(chosen) if len(chosen) else self.probabilities.new_zeros(0, 1)
        if not len(chosen):
            return virtual.new_zeros(())
        result = self._criterion(self._classifier(virtual), chosen)
        if isinstance(result, Tensor) and result.ndim == 0 and self._static_shapes():  # it averages by itself
            virtual, chosen = virtual[drawn], every[drawn]
            if not len(chosen):
                return virtual.new_zeros(())
            result = self._criterion(self._classifier(virtual), chosen)
        if isinstance(result, Tensor) and result.ndim == 0:
            return self.loss_weight * result
        losses, weights = result if isinstance(result, tuple) else (result, torch.ones_like(result))
        kept = drawn[chosen]
        losses, weights = losses.where(kept, 0), weights.where(kept, 0)
        return self.loss_weight * (weights * losses).sum() / weights.sum().clamp(min=1e-12)

    def _static_shapes(self) -> bool:
        return self.probabilities.device.type != "cpu"

    def end_epoch(self, validate: Callable[[], Validation]) -> dict[str, Any]:
        """Count the epoch; nothing is adapted, so nothing is validated."""
        self.epoch += 1
        return {"probabilities": self.probabilities.tolist()}


def distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def share_foreground(features: Tensor, labels: Tensor, classes: int, rows: int = SHARED_ROWS) -> tuple[Tensor, Tensor]:
    """Foreground features of all processes, in rank order, padded with label ``classes``.

    Each process gives its first ``rows`` foreground features: fixed shapes, so that no process waits for another's
    count. Alone, a process keeps what it has.

    Returns:
        ``features [m, d]`` and ``labels [m]``.
    """
    if not distributed():
        return features, labels
    foreground = (labels >= 0) & (labels < classes)
    first = (~foreground).long().argsort(stable=True)[:rows]
    shared = features.new_zeros(rows, features.shape[1])
    names = labels.new_full((rows,), classes)
    shared[: len(first)] = features[first]
    names[: len(first)] = labels[first].where(foreground[first], classes)
    world = dist.get_world_size()
    all_features, all_labels = (x.new_empty(world * rows, *x.shape[1:]) for x in (shared, names))
    dist.all_gather_into_tensor(all_features, shared)
    dist.all_gather_into_tensor(all_labels, names)
    return all_features, all_labels
