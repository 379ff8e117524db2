"""Many-, medium- and few-shot classes under labels that say their sizes."""

from __future__ import annotations

import numpy as np

from fasa.experiments.shots import FEW, MANY, has_limits, shots


def frequency_groups(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Class indices per group, the largest classes first; a group without a class is left out.

    Args:
        counts: training images per class, [C].
    """
    limits = {"many": f"> {MANY} images", "medium": f"{FEW}–{MANY}", "few": f"< {FEW}"}
    spoken = has_limits(counts.tolist())
    return {
        f"{name} ({limits[name] if spoken else _span(counts[members]) + ' images'})": np.array(members)
        for name, members in shots(counts.tolist()).items()
        if members
    }


def _span(counts: np.ndarray) -> str:
    return f"{counts.min()}–{counts.max()}" if counts.min() < counts.max() else f"{counts.min()}"
