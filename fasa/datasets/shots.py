"""Many-, medium- and few-shot classes: one split for accuracies and figures."""

from __future__ import annotations

from collections.abc import Sequence

MANY, FEW = 100, 20  # Liu et al., CVPR 2019: many over 100 training images, few under 20
LARGEST_FOR_LIMITS = 500  # smaller data sets have no class of more than 100 images worth the name: thirds instead


def has_limits(counts: Sequence[int]) -> bool:
    """Whether the limits of 20 and 100 images apply to these training images of each class, ``[C]``."""
    return max(counts) >= LARGEST_FOR_LIMITS


def shots(counts: Sequence[int]) -> dict[str, list[int]]:
    """Indices of the ``many``, ``medium`` and ``few`` classes, the largest first; thirds by size without limits."""
    order = sorted(range(len(counts)), key=lambda c: -counts[c])
    if has_limits(counts):
        return {
            "many": [c for c in order if counts[c] > MANY],
            "medium": [c for c in order if FEW <= counts[c] <= MANY],
            "few": [c for c in order if counts[c] < FEW],
        }
    names = ("many", "medium", "few")
    return {name: [c for rank, c in enumerate(order) if rank * 3 // len(order) == k] for k, name in enumerate(names)}
