"""Eq 3: virtual features."""

from __future__ import annotations

import torch
from torch import Tensor


def generate(mean: Tensor, variance: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One virtual feature for each row: ``mean + sqrt(variance) * eps`` with ``eps ~ N(0, I)``; all ``[n, d]`` (eq 3).

    The Gaussian is diagonal; negative values are kept although real features went through a ReLU (released code).
    """
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return torch.addcmul(mean, variance.sqrt(), noise)
