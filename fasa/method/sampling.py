"""Eqs 3 and 4: a class's virtual feature, the probability with which it is drawn, and that probability's adaptation."""

from __future__ import annotations

import torch
from torch import Tensor


def generate(mean: Tensor, variance: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One virtual feature for each row: ``mean + sqrt(variance) * eps`` with ``eps ~ N(0, I)``; all ``[n, d]`` (eq 3).

    The Gaussian is diagonal; negative values are kept although real features went through a ReLU (released code).
    """
    if generator is None:  # the same bits; torch.compile refuses `generator=None` where the number of rows varies
        noise = torch.randn_like(mean)
    else:
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return torch.addcmul(mean, variance.sqrt(), noise)


def initial_probabilities(
    class_counts: Tensor, draws_per_step: float = 1.0, initialisation: str = "inverse_frequency"
) -> Tensor:
    """First ``p [C]``: ``s * (1/N_c) / sum(1/N)`` (eq 4), or ``s / C`` for ``uniform``, clipped to [0, 1].

    ``draws_per_step`` is ``s``: without the clipping, the expected number of virtual features in a step.
    """
    share = (
        1 / class_counts.double() if initialisation == "inverse_frequency" else torch.ones(len(class_counts)).double()
    )
    return (draws_per_step * share / share.sum()).clamp(0, 1).float()


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
            adaptation", "the average validation loss of within-group classes"), or ``sum`` (released code).

    Returns:
        NaN for a class whose group has no data at all, and for classes without a group.
    """
    change = current - previous
    known = change.isfinite() & (groups >= 0)
    members = groups.clamp(min=0)
    parts = torch.stack([change, torch.ones_like(change), current.abs() + previous.abs()]).where(known, 0)
    total, count, compared = parts.new_zeros(3, len(groups)).index_add_(1, members, parts)
    total = beyond_rounding(total, compared)
    value = total / count.clamp(min=1) if reduction == "mean" else total
    return value[members].where((groups >= 0) & (count[members] > 0), torch.nan)


def pooled_change(current: Tensor, count: Tensor, previous: Tensor, previous_count: Tensor, groups: Tensor) -> Tensor:
    """By how much the mean over all samples of each class's group changed since the last epoch; ``[C]``.

    Section 3.2: "the loss average computed on bigger data (from multiple classes)". Both epochs' means are over the
    same classes: those of the group, as it is now, with data in both.

    Args:
        current, previous: mean of each class, ``[C]``; NaN where a class had no validation data (or no last epoch).
        count, previous_count: validation samples behind it, ``[C]``.
        groups: group index of each class, ``[C]`` int64; -1 for a class without a group.

    Returns:
        NaN for a class whose group has no data at all, and for classes without a group.
    """
    known = (current - previous).isfinite() & (groups >= 0)
    members = groups.clamp(min=0)

    def pooled(mean: Tensor, samples: Tensor) -> Tensor:
        parts = torch.stack([mean * samples, samples]).where(known, 0)
        total, size = parts.new_zeros(2, len(groups)).index_add_(1, members, parts)
        return total / size  # 0 / 0: NaN without data

    now, before = pooled(current, count), pooled(previous, previous_count)
    change = beyond_rounding(now - before, now.abs() + before.abs())
    return change[members].where(groups >= 0, torch.nan)


def beyond_rounding(change: Tensor, compared: Tensor) -> Tensor:
    """``change``, 0 where it is no more than sums of magnitude ``compared`` round by: hits that tie change nothing."""
    return change.masked_fill(change.abs() <= 4 * torch.finfo(change.dtype).eps * compared, 0)
