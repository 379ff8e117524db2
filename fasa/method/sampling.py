"""Eq 4: the probability with which each class's virtual feature is drawn, and its adaptation."""

from __future__ import annotations

import torch
from torch import Tensor


def initial_probabilities(
    class_counts: Tensor, scale: float = 1.0, initialisation: str = "inverse_frequency"
) -> Tensor:
    """First ``p [C]``: ``scale * (1/N_c) / sum(1/N)`` (eq 4), or ``scale / C`` for ``uniform``, clipped to [0, 1]."""
    share = (
        1 / class_counts.double() if initialisation == "inverse_frequency" else torch.ones(len(class_counts)).double()
    )
    return (scale * share / share.sum()).clamp(0, 1).float()


def adapt(probabilities: Tensor, improved: Tensor, worsened: Tensor, up: float = 1.1, down: float = 0.9) -> Tensor:
    """``min(1, p * up)`` where a class's group improved, ``max(0, p * down)`` where it got worse, else p; ``[C]``.

    Source: section 3.2, "Adaptive sampling scheme". ``improved`` and ``worsened`` are boolean ``[C]``.
    """
    factor = torch.ones_like(probabilities).masked_fill(improved, up).masked_fill(worsened, down)
    return (probabilities * factor).clamp(0, 1)


def group_change(current: Tensor, previous: Tensor, groups: Tensor, reduction: str = "mean") -> Tensor:
    """By how much each class's *group* changed since the last epoch, handed back to its members; ``[C]``.

    Args:
        current, previous: one value a class, ``[C]``; NaN where a class had no validation data (or no last epoch).
        groups: group index of each class, ``[C]`` int64; -1 for a class without a group.
        reduction: ``mean`` over the classes of the group with data in both epochs (section 3.2, "Group-wise
            adaptation"), or ``sum`` (released code).

    Returns:
        NaN for a class whose group has no data at all, and for classes without a group.
    """
    change = current - previous
    known = change.isfinite() & (groups >= 0)
    members = groups.clamp(min=0)
    total = change.new_zeros(len(groups)).index_add_(0, members, change.where(known, 0))
    count = change.new_zeros(len(groups)).index_add_(0, members, known.to(change.dtype))
    value = total / count.clamp(min=1) if reduction == "mean" else total
    return value[members].where((groups >= 0) & (count[members] > 0), torch.nan)
