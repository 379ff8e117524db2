"""Split classes into many-, medium- and few-shot ones."""

from __future__ import annotations

import numpy as np

MANY, FEW = 100, 20  # the usual limits on CIFAR-100-LT (Liu et al., CVPR 2019): many > 100, few < 20 training images
LARGEST_FOR_LIMITS = 500  # smaller data sets have no class of more than 100 images worth the name: thirds instead


def frequency_groups(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Class indices per group, the largest classes first; a group without a class is left out.

    Args:
        counts: training images per class, [C].
    """
    order = np.argsort(-counts, kind="stable")
    if counts.max() >= LARGEST_FOR_LIMITS:
        groups = {
            f"many (> {MANY} images)": order[counts[order] > MANY],
            f"medium ({FEW}–{MANY})": order[(counts[order] >= FEW) & (counts[order] <= MANY)],
            f"few (< {FEW})": order[counts[order] < FEW],
        }
    else:
        groups = {
            f"{name} ({_span(counts[members])} images)": members
            for name, members in zip(("many", "medium", "few"), np.array_split(order, 3), strict=True)
            if len(members)
        }
    return {name: members for name, members in groups.items() if len(members)}


def _span(counts: np.ndarray) -> str:
    return f"{counts.min()}–{counts.max()}" if counts.min() < counts.max() else f"{counts.min()}"
