"""Eq 2: per-class running mean and variance of the classifier's input features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fasa.method.distributed import all_reduce


class BatchMoments(NamedTuple):
    """What one batch says of each class: number of ``samples [C]``, ``mean [C, d]``, unbiased ``variance [C, d]``."""

    samples: Tensor
    mean: Tensor
    variance: Tensor


def batch_moments(features: Tensor, labels: Tensor, classes: int, all_ranks: bool = False) -> BatchMoments:
    """Per-class count, mean and unbiased variance of ``features [n, d]`` with ``labels [n]``.

    A class with one sample has variance 0 (released code); labels outside ``[0, classes)``, such as a detector's
    background, are left out, and so are features that are not finite: one would stay in the moving average for good,
    where a gradient scaler skips its step. With ``all_ranks`` the moments are those of all processes' batches together.
    No loop over classes, static shapes, no host-device synchronisation.
    """
    # Everything that is not a class of ours falls into an extra last row, dropped on return.
    rows = torch.where((labels >= 0) & (labels < classes) & features.isfinite().all(1), labels, classes)
    count = features.new_zeros(classes + 1).index_add_(0, rows, features.new_ones(len(rows)))
    total = features.new_zeros(classes + 1, features.shape[1]).index_add_(0, rows, features)
    if all_ranks:
        all_reduce(count, total)
    mean = total.div_(count.clamp(min=1)[:, None])
    # Two passes: squares of deviations, not E[x^2] - E[x]^2, which cancels for features far from zero.
    squares = torch.zeros_like(mean).index_add_(0, rows, (features - mean[rows]).square())
    if all_ranks:
        all_reduce(squares)
    variance = squares.div_((count - 1).clamp(min=1)[:, None])
    return BatchMoments(count[:classes], mean[:classes], variance[:classes])


def update(
    mean: Tensor, variance: Tensor, observations: Tensor, batch: BatchMoments, momentum: float, estimator: str
) -> None:
    """Blend a batch into the running ``mean [C, d]`` and ``variance [C, d]`` in place; count into ``observations [C]``.

    A class's first sighting copies the batch's moments; classes absent from the batch are left alone (eq 2).
    ``estimator`` says what "the running variance" is:

    - ``literal``: the moving average of the batches' variances (released code);
    - ``std``: the moving average of their standard deviations, squared (eq 2 to the letter);
    - ``ewm``: exponentially weighted moments, which count the spread *between* batches too, so that a class seen one
      sample at a time has a variance at all (Finch, "Incremental calculation of weighted mean and variance", 2009).
    """
    # A blend by 1 copies the batch and one by 0 keeps the past, exactly: one pass over [C, d] serves all three cases.
    present = batch.samples > 0
    weight = torch.where(observations == 0, 1.0, momentum).to(mean).where(present, 0)[:, None]
    if estimator == "literal":
        variance.lerp_(batch.variance, weight)
    elif estimator == "std":
        deviation = variance.sqrt().lerp_(batch.variance.sqrt(), weight)
        variance.copy_(torch.where(present[:, None], deviation.square_(), variance))
    else:
        between = (batch.mean - mean).square_().mul_(weight)
        variance.add_(between).lerp_(batch.variance, weight)
    mean.lerp_(batch.mean, weight)
    observations.add_(batch.samples.to(observations.dtype))
