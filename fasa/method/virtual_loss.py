"""The loss of virtual features, the same for whatever makes them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Logits ``[k, channels]`` and labels ``[k]`` to losses ``[k]``, to losses and their weights in a weighted mean, both
#: ``[k]``, or to a 0-d loss.
Criterion = Callable[[Tensor, Tensor], Tensor | tuple[Tensor, Tensor]]


def virtual_loss(
    drawn: Tensor,
    make: Callable[[Tensor], Tensor],
    classifier: Callable[[Tensor], Tensor],
    criterion: Criterion,
) -> tuple[Tensor, Tensor]:
    """The loss of one virtual feature of each drawn class: sum of the weighted losses and sum of the weights, both 0-d.

    Their ratio is the mean loss; without a draw it is 0.

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
        return torch.zeros((), device=drawn.device), torch.ones((), device=drawn.device)
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
    return weighted_sums(losses, weights)


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
    """Numerator and denominator of the mean of ``values [n]`` by ``weights [n]``, as torch's cross entropy has it."""
    return (weights * values).sum(), weights.sum().clamp(min=1e-12)
