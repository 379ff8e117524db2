"""M2m: minority images translated from majority ones (Kim et al., CVPR 2020; their released code)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fasa.augmenters.base import Augmenter, ImageContext


class M2m(Augmenter):
    """From epoch ``start_epoch`` on, batches are class-balanced and part of their minority images are generated.

    An image of class ``k`` becomes a slot with probability ``1 - N_k / max N``. A seed image ``j`` of the same batch is
    drawn with weight ``1 - beta^max(N_j - N_k, 0)`` and moved by gradient steps until the frozen teacher calls it ``k``
    while the network in training is pushed off the seed's class; it replaces the image if the teacher is sure enough.

    Args:
        start_epoch: first epoch, counted from 0, with generation.
        beta: of the seeds' weights.
        push: ``lambda``, weight of the seed class's logit.
        confidence: ``gamma``, least softmax probability of the teacher for the target class.
        step_size: ``eta``, length of a step in the L2 norm of an image with values in 0..1.
        steps: gradient steps.
    """

    needs = ImageContext
    context: ImageContext
    graphable = False  # the number of slots varies from batch to batch

    def __init__(
        self,
        context: ImageContext,
        start_epoch: int = 160,
        beta: float = 0.999,
        push: float = 0.5,
        confidence: float = 0.9,
        step_size: float = 0.1,
        steps: int = 10,
    ) -> None:
        super().__init__(context)
        if context.teacher is None:
            raise ValueError("m2m needs a teacher")
        self.start_epoch, self.beta, self.push, self.confidence = start_epoch, beta, push, confidence
        self.step_size, self.steps = step_size, steps
        self.active = False
        self._counts = context.class_counts.double()
        self._weights = 1 / self._counts[context.labels]

    def begin_epoch(self, epoch: int) -> None:
        self.active = epoch >= self.start_epoch

    def select(self, indices: Tensor) -> Tensor:
        if not self.active:
            return indices
        return torch.multinomial(self._weights, len(indices), replacement=True, generator=self.context.generator)

    def images(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if not self.active:
            return images, labels
        generator = self.context.generator
        size = self._counts[labels]
        chance = torch.rand(len(labels), generator=generator, device=labels.device)
        slots = (chance < 1 - size / self._counts.max()).nonzero().squeeze(1)
        weights = 1 - self.beta ** (size[None, :] - size[slots, None]).clamp(min=0)  # [slots, batch]
        seeded = weights.sum(1) > 0
        slots, weights = slots[seeded], weights[seeded]
        if not len(slots):
            return images, labels
        seeds = torch.multinomial(weights, 1, generator=generator).squeeze(1)
        made, sure = self._translate(images[seeds], labels[seeds], labels[slots])
        accepted = torch.rand(len(slots), generator=generator, device=labels.device) < weights.gather(
            1, seeds[:, None]
        ).squeeze(1)
        keep = (sure & accepted)[:, None, None, None]
        images = images.clone()
        images[slots] = torch.where(keep, made, images[slots])
        return images, labels

    def _translate(self, images: Tensor, sources: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``[n, 3, H, W]`` moved from ``sources`` to ``targets``, and whether the teacher is sure ``[n]``."""
        context, teacher = self.context, self.context.teacher
        assert teacher is not None
        modes = context.network.training, context.classifier.training
        context.network.eval()
        context.classifier.eval()
        noise = torch.rand(images.shape, generator=context.generator, device=images.device) - 0.5
        made = (images + noise.renorm(2, 1, 0.5)).clamp(0, 1)  # renorm over the channel axis, as released
        for _ in range(self.steps):
            made = made.detach().requires_grad_()
            inputs = context.normalise(made)
            logits = context.classifier(context.embed(context.network(inputs)))
            objective = functional.cross_entropy(teacher(inputs), targets, reduction="sum")
            objective = objective + self.push * logits.gather(1, sources[:, None]).sum()
            (gradient,) = torch.autograd.grad(objective, made)
            length = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]
            made = (made - self.step_size * gradient / length).clamp(0, 1)
        with torch.no_grad():
            probability = teacher(context.normalise(made)).softmax(1).gather(1, targets[:, None]).squeeze(1)
        context.network.train(modes[0])
        context.classifier.train(modes[1])
        return made.detach(), probability >= self.confidence
