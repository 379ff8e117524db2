"""MoEx: moments of one example given to another (Li et al., "On Feature Normalization and Data Augmentation", 2021).

A step's loss becomes ``lambda * L(own labels) + (1 - lambda) * L(partners' labels)``; the maps it is computed from have
their own shape and the partner's moments. ``fasa.mmdet.roi_augmenters`` does so with the maps of RoIs.
"""

from __future__ import annotations

import torch
from torch import Tensor


def exchange_moments(maps: Tensor, partners: Tensor, epsilon: float = 1e-5) -> Tensor:
    """``maps [n, d, h, w]`` with the moments of ``maps[partners]``, ``partners [n]``.

    The moments are those of positional normalisation (PONO): mean and standard deviation over the ``d`` channels at
    each position; ``epsilon`` is added to the variance, which is the unbiased one (released code).
    """
    variance, mean = torch.var_mean(maps, dim=1, keepdim=True)
    deviation = (variance + epsilon).sqrt()
    return (maps - mean) / deviation * deviation[partners] + mean[partners]


def random_partners(count: int, generator: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
    """A random permutation ``[count]``: everyone gives its moments once, sometimes to itself."""
    return torch.randperm(count, generator=generator, device=device)
