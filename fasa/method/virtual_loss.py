"""The loss of virtual features, the same for whatever makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

#: Logits ``[k, channels]`` and labels ``[k]`` to losses ``[k]``, to losses and their weights in a weighted mean, both
#: ``[k]``, or to a 0-d loss.
Criterion = Callable[[Tensor, Tensor], Tensor | tuple[Tensor, Tensor]]


class VirtualLoss(NamedTuple):
    """Sum of the weighted losses of a step's virtual features, and sum of their weights; both 0-d.

    Without a virtual feature the sum is 0 and the weight next to 0.
    """

    total: Tensor
    weight: Tensor

    def joined(self, real: Tensor, weight: Tensor) -> Tensor:
        """One mean, 0-d, over these and real examples, whose mean is ``real`` by weights of sum ``weight``, both 0-d.

        Without a virtual feature it is ``real`` to the last bit.
        """
        return real + (self.total - self.weight * real) / (weight + self.weight)


def total_loss(real: Tensor, weight: Tensor, added: Tensor | VirtualLoss | None) -> Tensor:
    """The loss of a step, 0-d: the real examples' mean with what an augmenter adds to it, or joins to it.

    Args:
        real, weight: mean loss of the real examples, and the sum of their weights in it; both 0-d.
        added: a 0-d loss, to be added; a :class:`VirtualLoss`, to make one mean with the real ones; or nothing.
    """
    if added is None:
        return real
    return added.joined(real, weight) if isinstance(added, VirtualLoss) else real + added


def virtual_loss(
    drawn: Tensor,
    make: Callable[[Tensor], Tensor],
    classifier: Callable[[Tensor], Tensor],
    criterion: Criterion,
) -> VirtualLoss:
    """The loss of one virtual feature of each drawn class; a criterion that gives a 0-d loss weighs 1.

    Total by weight is the mean loss; without a draw it is 0.

    On a GPU a feature of every class is made, and those not drawn weigh nothing: static shapes, hence no host-device
    synchronisation, unless the criterion gives a 0-d loss.

    Args:
        drawn: boolean ``[C]``.
        make: one feature ``[k, d]`` of each class in ``labels [k]``; called without gradient.
        classifier: features to logits; all that receives a gradient.
        criterion: its losses and weights are those of real examples.
    """
    every = torch.arange(len(drawn), device=drawn.device)
    static = static_shapes(drawn.device)
    labels = every if static else every[drawn]
    if not len(labels):
        return no_virtual_loss(drawn.device)
    with torch.no_grad():
        features = make(labels)
    result = criterion(classifier(features), labels)
    if static and isinstance(result, Tensor) and result.ndim == 0:
        # It averages by itself: hand it the drawn ones alone.
        features, labels = features[drawn], every[drawn]
        result = criterion(classifier(features), labels) if len(labels) else torch.zeros_like(result)
    losses, weights = result if isinstance(result, tuple) else (result, torch.ones_like(result))
    if static and losses.ndim:
        # where, not a product: a class never seen may have a loss that is not finite.
        losses, weights = losses.where(drawn, 0), weights.where(drawn, 0)
    return VirtualLoss(*weighted_sums(losses, weights))


def no_virtual_loss(device: torch.device) -> VirtualLoss:
    """The loss of no virtual feature."""
    nothing = torch.zeros(0, device=device)
    return VirtualLoss(*weighted_sums(nothing, nothing))


def of_each_example(criterion: Criterion) -> Criterion:
    """``criterion``, which raises a ValueError where it gives a 0-d loss: that has no weight beside real examples."""

    def checked(logits: Tensor, labels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        result = criterion(logits, labels)
        if isinstance(result, Tensor) and result.ndim == 0:
            raise ValueError(
                "one mean over real and virtual examples (joint_mean) needs the loss of each virtual feature, but this "
                "criterion gives a single number for all"
            )
        return result

    return checked


def static_shapes(device: torch.device) -> bool:
    """Whether shapes must not depend on a draw: reading its size would wait for the device."""
    return device.type != "cpu"


def mean_loss(result: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """What a criterion gave, as a mean, 0-d."""
    if not isinstance(result, tuple):
        return result.mean()
    total, weight = weighted_sums(*result)
    return total / weight


def weighted_sums(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Numerator and denominator of the mean of ``values [n]`` by ``weights [n]``, as torch's cross entropy has it.

    Not in half numbers, where the least denominator would be 0.
    """
    wide = torch.promote_types(values.dtype, torch.float32)
    values, weights = values.to(wide), weights.to(wide)
    return (weights * values).sum(), weights.sum().clamp(min=1e-12)
