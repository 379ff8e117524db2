"""Feature space augmentation with class activation maps (Chu et al., ECCV 2020), phase II: a new classifier."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fasa.augmenters.base import Augmenter, Trainee

CHUNK = 512  # images of one forward pass over the training set


class Chu(Augmenter):
    """Tail features whose class-specific positions are their own and whose generic ones come from confusing classes.

    A batch holds ``Nt`` tail images, ``Nt * per_image`` synthetic tail features and as many head images. Global pooling
    follows directly, so a synthetic feature is the mean of as many drawn position vectors as the map has positions.

    Args:
        specific: ``tau_s``; positions with a class activation of at least this are class-specific.
        generic: ``tau_g``; positions with a class activation of at most this are class-generic.
        confusing: ``Nf``, confusing classes of a tail class: those that phase I most often sees in its images.
        per_image: ``Na``, synthetic features of each tail image.
        head_share: head classes are the fewest that hold this share of all training images.
    """

    graphable = False  # draws positions by multinomial

    def __init__(
        self,
        trainee: Trainee,
        specific: float = 0.3,
        generic: float = 0.6,
        confusing: int = 3,
        per_image: int = 3,
        head_share: float = 0.9,
    ) -> None:
        super().__init__(trainee)
        self.specific, self.generic, self.per_image = specific, generic, per_image
        self.tail_images = max(1, trainee.batch // (2 * (1 + per_image)))
        self._generator = trainee.generator
        self._labels = trainee.labels
        self._class_weights = trainee.head.class_weights().detach().clone()  # phase I's, which define the maps
        tail = tail_classes(trainee.class_counts, head_share)
        is_tail = tail[trainee.labels]
        self._tail_pool, self._head_pool = is_tail.nonzero().squeeze(1), (~is_tail).nonzero().squeeze(1)
        confusion = mean_softmax(trainee).fill_diagonal_(-1)
        self._confusing = confusion.topk(min(confusing, len(tail) - 1), dim=1).indices  # [C, Nf]
        self._members = membership(trainee.labels, len(tail))

    def select(self, indices: Tensor) -> Tensor:
        tail = self._pick(self._tail_pool, self.tail_images)
        classes = self._confusing[self._labels[tail]].repeat_interleave(self.per_image, 0)
        chosen = torch.randint(classes.shape[1], (len(classes), 1), generator=self._generator, device=tail.device)
        partners = torch.multinomial(self._members[classes.gather(1, chosen).squeeze(1)], 1, generator=self._generator)
        return torch.cat([tail, partners.squeeze(1), self._pick(self._head_pool, len(tail) * (1 + self.per_image))])

    def features(self, maps: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        tail, made = self.tail_images, self.tail_images * self.per_image
        activation = self._activation(maps, labels)
        positions = maps.flatten(2).transpose(1, 2)  # [n, L, d]
        own = self._draw(activation[:tail] >= self.specific, self.per_image)
        other = self._draw(activation[tail : tail + made] <= self.generic, 1)
        length = positions.shape[1]
        share = torch.rand(made, 1, generator=self._generator, device=maps.device)
        from_own = torch.arange(length, device=maps.device) < share * length
        source = torch.arange(made, device=maps.device)[:, None]
        specific = positions[source // self.per_image, own]
        generic = positions[tail + source, other]
        synthetic = torch.where(from_own[:, :, None], specific, generic).mean(1)
        pooled = positions.mean(1)
        features = torch.cat([pooled[:tail], synthetic, pooled[tail + made :]])
        return features, torch.cat(
            [labels[:tail], labels[:tail].repeat_interleave(self.per_image), labels[tail + made :]]
        )

    def _pick(self, pool: Tensor, count: int) -> Tensor:
        return pool[torch.randint(len(pool), (count,), generator=self._generator, device=pool.device)]

    def _activation(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Class activation of each image's own class, scaled to 0..1 over its positions; ``[n, L]``."""
        raw = torch.einsum("nd,ndl->nl", self._class_weights[labels], maps.flatten(2))
        low, high = raw.amin(1, keepdim=True), raw.amax(1, keepdim=True)
        return (raw - low) / (high - low).clamp(min=1e-12)

    def _draw(self, allowed: Tensor, times: int) -> Tensor:
        """Positions drawn with replacement from those allowed ``[n, L]``; ``[n * times, L]``. A flat map allows all."""
        weights = torch.where(allowed.any(1, keepdim=True), allowed, True).float().repeat_interleave(times, 0)
        return torch.multinomial(weights, allowed.shape[1], replacement=True, generator=self._generator)


def tail_classes(class_counts: Tensor, head_share: float) -> Tensor:
    """Which classes are tail: all but the fewest largest that hold ``head_share`` of the images; boolean ``[C]``."""
    order = class_counts.argsort(descending=True, stable=True)
    before = class_counts[order].cumsum(0) - class_counts[order]
    tail = torch.zeros(len(class_counts), dtype=torch.bool, device=class_counts.device)
    tail[order] = before >= head_share * class_counts.sum()
    return tail


@torch.no_grad()
def mean_softmax(trainee: Trainee) -> Tensor:
    """The trainee's mean softmax over each class's training images, ``[C, C]``: rows are true classes."""
    total = torch.zeros(len(trainee.class_counts), len(trainee.class_counts), device=trainee.labels.device)
    trainee.network.eval()
    for indices in torch.arange(len(trainee.labels), device=total.device).split(CHUNK):
        maps = trainee.network(trainee.normalise(trainee.load_images(indices)))
        total.index_add_(0, trainee.labels[indices], trainee.head(maps.mean((2, 3))).softmax(1))
    return total / trainee.class_counts[:, None]


def membership(labels: Tensor, classes: int) -> Tensor:
    """One row of weights over all images for each class, ``[C, N]``: 1 for its own images."""
    return functional.one_hot(labels, classes).T.float()
