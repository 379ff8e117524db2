"""Feature space augmentation with class activation maps (Chu et al., ECCV 2020), phase II: a new classifier.

Detectors have :mod:`fasa.augmenters.roi_chu` under the same name: no phases there, and no images to choose from.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fasa.augmenters.base import Augmenter, Batch, ImageContext

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

    needs = ImageContext
    context: ImageContext
    graphable = False  # draws positions by multinomial

    def __init__(
        self,
        context: ImageContext,
        specific: float = 0.3,
        generic: float = 0.6,
        confusing: int = 3,
        per_image: int = 3,
        head_share: float = 0.9,
    ) -> None:
        super().__init__(context)
        self.specific, self.generic, self.per_image = specific, generic, per_image
        self.tail_images = max(1, context.batch_size // (2 * (1 + per_image)))
        self._generator = context.generator
        self._labels = context.labels
        self._class_weights = context.class_weights.detach().clone()  # phase I's, which define the maps
        tail = tail_classes(context.class_counts, head_share)
        is_tail = tail[context.labels]
        self._tail_pool, self._head_pool = is_tail.nonzero().squeeze(1), (~is_tail).nonzero().squeeze(1)
        confusion = mean_softmax(context).fill_diagonal_(-1)
        self._confusing = confusion.topk(min(confusing, len(tail) - 1), dim=1).indices  # [C, Nf]
        self._members = membership(context.labels, len(tail))

    def select(self, indices: Tensor) -> Tensor:
        tail = self._pick(self._tail_pool, self.tail_images)
        classes = self._confusing[self._labels[tail]].repeat_interleave(self.per_image, 0)
        chosen = torch.randint(classes.shape[1], (len(classes), 1), generator=self._generator, device=tail.device)
        partners = torch.multinomial(self._members[classes.gather(1, chosen).squeeze(1)], 1, generator=self._generator)
        return torch.cat([tail, partners.squeeze(1), self._pick(self._head_pool, len(tail) * (1 + self.per_image))])

    def mix(self, batch: Batch) -> tuple[Tensor, Tensor]:
        features, labels = self.synthesise(batch.maps, batch.labels)
        return self.context.classifier(features), labels

    def synthesise(self, maps: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[n, d]`` and labels ``[n]`` to learn from, of a batch that :meth:`select` chose."""
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
        return stretched(torch.einsum("nd,ndl->nl", self._class_weights[labels], maps.flatten(2)))

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


def stretched(activation: Tensor) -> Tensor:
    """``activation [n, L]`` scaled to 0..1 in each row; zeros for a flat one."""
    low, high = activation.amin(1, keepdim=True), activation.amax(1, keepdim=True)
    return (activation - low) / (high - low).clamp(min=1e-12)


@torch.no_grad()
def mean_softmax(context: ImageContext) -> Tensor:
    """The classifier's mean softmax over each class's training images, ``[C, C]``: rows are true classes."""
    total = torch.zeros(len(context.class_counts), len(context.class_counts), device=context.labels.device)
    context.network.eval()
    for indices in torch.arange(len(context.labels), device=total.device).split(CHUNK):
        maps = context.network(context.normalise(context.load_images(indices)))
        total.index_add_(0, context.labels[indices], context.classifier(context.embed(maps)).softmax(1))
    return total / context.class_counts[:, None]


def membership(labels: Tensor, classes: int) -> Tensor:
    """One row of weights over all images for each class, ``[C, N]``: 1 for its own images."""
    return functional.one_hot(labels, classes).T.float()
