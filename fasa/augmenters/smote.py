"""SMOTE on the classifier's input features (Chawla et al., JAIR 2002; the paper's supplement, section F, eq 1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fasa.augmenters.base import TrainingContext
from fasa.augmenters.feature_augmenter import FeatureAugmenter, share_foreground


class Smote(FeatureAugmenter):
    """Virtual features between a remembered feature of a class and one of its nearest neighbours in that class.

    A batch holds next to nothing of a tail class, so each class keeps its last ``memory`` features.

    Args:
        neighbours: ``k``, of which one is drawn; nearest by cosine.
        memory: features remembered of each class.
        draws_per_step, loss_weight, start_epoch: those of :class:`~fasa.augmenters.feature_augmenter.FeatureAugmenter`.

    Raises:
        ValueError: an argument outside its range.
    """

    queue: Tensor
    seen: Tensor

    def __init__(
        self,
        context: TrainingContext,
        neighbours: int = 5,
        memory: int = 16,
        draws_per_step: float = 5.0,
        loss_weight: float = 0.1,
        start_epoch: int = 1,
    ) -> None:
        super().__init__(context, draws_per_step, loss_weight, start_epoch)
        if neighbours < 1 or memory < 2:
            raise ValueError("neighbours must be at least 1, memory at least 2")
        self.neighbours = min(neighbours, memory - 1)
        # One row more than classes: where background and what a full batch pushes out at once is written to.
        self.register_buffer("queue", torch.zeros(self.classes + 1, memory, context.feature_dim))
        self.register_buffer("seen", torch.zeros(self.classes, dtype=torch.long))

    def observe(self, features: Tensor, labels: Tensor) -> None:
        features, labels = share_foreground(features, labels, self.classes)
        remember(self.queue, self.seen, features, labels)

    def ready(self) -> Tensor:
        return self.seen > 0

    def make(self, classes: Tensor) -> Tensor:
        stored = self.seen[classes].clamp(max=self.queue.shape[1])
        return interpolate(self.queue[classes], stored, self.neighbours, self.context.generator)


def remember(queue: Tensor, seen: Tensor, features: Tensor, labels: Tensor) -> None:
    """Write ``features [n, d]`` of ``labels [n]`` into each class's ring ``queue [C + 1, M, d]``, in place.

    ``seen [C]`` counts what each class was given in its life; the next place is that modulo ``M``. Of more than ``M``
    features of a class at once the last ``M`` stay. Labels outside ``[0, C)`` are left out.
    """
    classes, memory = len(seen), queue.shape[1]
    rows = torch.where((labels >= 0) & (labels < classes), labels, classes)
    order = rows.argsort(stable=True)
    rows = rows[order]
    first = torch.searchsorted(rows, rows)  # where each row's class begins
    rank = torch.arange(len(rows), device=rows.device) - first
    given = seen.new_zeros(classes + 1).index_add_(0, rows, torch.ones_like(rows))
    place = (functional.pad(seen, (0, 1))[rows] + rank) % memory
    kept = torch.where(rank >= given[rows] - memory, rows, classes)
    queue[kept, place] = features[order].to(queue.dtype)
    seen += given[:classes]


def interpolate(stored: Tensor, count: Tensor, neighbours: int, generator: torch.Generator | None = None) -> Tensor:
    """Eq 1 of the supplement: ``lambda * x_i + (1 - lambda) * x_j``, one of each class's ``stored [k, M, d]``.

    ``x_i`` is any of the first ``count [k]`` (at least 1) features, ``x_j`` one of its ``neighbours`` nearest others by
    cosine, ``lambda`` uniform in (0, 1]. A class with one feature gives that one.

    Returns:
        ``[k, d]``.
    """
    k, memory, _ = stored.shape
    device = stored.device
    chance = torch.rand(3, k, generator=generator, device=device)
    rows = torch.arange(k, device=device)
    base = (chance[0] * count).long().clamp(max=memory - 1)
    origin = stored[rows, base]
    cosine = torch.einsum("kmd,kd->km", functional.normalize(stored, dim=2), functional.normalize(origin, dim=1))
    slots = torch.arange(memory, device=device)
    other = (slots[None] < count[:, None]) & (slots[None] != base[:, None])
    nearest = cosine.masked_fill(~other, -torch.inf).topk(neighbours, dim=1).indices
    found = other.sum(1).clamp(max=neighbours)
    picked = nearest[rows, (chance[1] * found).long().clamp(max=neighbours - 1)]
    partner = stored[rows, torch.where(found > 0, picked, base)]
    return torch.lerp(partner, origin, 1 - chance[2][:, None])  # 1 - [0, 1) = (0, 1]
