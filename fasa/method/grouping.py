"""Eq 5: Fisher's ratio between classes, and the clusterings that turn it into super-groups."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Keeps eq 5 finite between two classes that were each seen as a single sample (variance 0).
VARIANCE_FLOOR = 1e-6
# Elements of one broadcast tile: a CPU's stays in its cache, which is what bounds the speed; a GPU's takes 256 MB, for
# thousands of small ones would cost more to launch than to compute.
TILE, TILE_OF_CPU = 1 << 26, 1 << 18


def fisher_distance(mean_a: Tensor, variance_a: Tensor, mean_b: Tensor, variance_b: Tensor) -> Tensor:
    """Distances ``[a, b]``, ``mean_d (mu_i - mu_j)^2 / (var_i + var_j)``, of ``[a, d]`` to ``[b, d]`` Gaussians (eq 5).

    The mean over dimensions instead of their sum only changes the unit, which a relative bandwidth cancels.
    """
    out = mean_a.new_empty(len(mean_a), len(mean_b))
    symmetric = mean_a is mean_b and variance_a is variance_b  # then half the tiles are the others, mirrored
    variance_b = variance_b + VARIANCE_FLOOR
    tile = TILE_OF_CPU if mean_a.device.type == "cpu" else TILE
    side = max(1, math.isqrt(tile // max(1, mean_a.shape[1])))
    for top in range(0, len(mean_a), side):
        rows = slice(top, top + side)
        for left in range(top if symmetric else 0, len(mean_b), side):
            columns = slice(left, left + side)
            ratio = (mean_a[rows, None] - mean_b[columns]).square_().div_(variance_a[rows, None] + variance_b[columns])
            out[rows, columns] = distance = ratio.mean(-1)
            if symmetric:
                out[columns, rows] = distance.T
    return out


def relative_bandwidth(distances: Tensor, neighbours: int) -> Tensor:
    """The median class's distance to its ``neighbours``-th nearest class, itself counted; 0-d, from ``[n, n]``.

    The paper gives no bandwidth, and in high dimensions it decides everything: scikit-learn's default, the 30 %
    quantile of all pairs, merges all classes into one group. Few classes have few neighbours to speak of: at most a
    fifth of them.
    """
    nearest = min(neighbours, 1 + len(distances) // 5)
    return distances.kthvalue(max(2, nearest), dim=1).values.median()


def mean_shift(mean: Tensor, variance: Tensor, neighbours: int = 5, steps: int = 50) -> Tensor:
    """Groups ``[n]`` of ``n`` class Gaussians by flat-kernel mean-shift under Fisher's ratio (section 3.2, eq 5).

    A mode is itself a Gaussian; its neighbours are the classes within the bandwidth, and it moves to their average mean
    and average variance until its neighbours no longer change. Modes closer than half a bandwidth are one group.
    """
    if len(mean) < 2:
        return torch.zeros(len(mean), dtype=torch.long, device=mean.device)
    distances = fisher_distance(mean, variance, mean, variance)
    bandwidth = relative_bandwidth(distances, neighbours)
    near = distances <= bandwidth
    near.fill_diagonal_(True)
    modes, mode_of = near.unique(dim=0, return_inverse=True)  # equal neighbours, equal future: walk each once
    moving = torch.ones(len(modes), dtype=torch.bool, device=mean.device)
    for _ in range(steps):
        centre, spread = _averages(modes, mean, variance)
        moved = modes.clone()
        moved[moving] = fisher_distance(centre[moving], spread[moving], mean, variance) <= bandwidth
        # A mode whose step would lose all its neighbours stays where it is.
        moved = torch.where(moved.any(1, keepdim=True), moved, modes)
        moving = (moved != modes).any(1)
        if not moving.any():
            break
        modes, merged = moved.unique(dim=0, return_inverse=True)
        mode_of = merged[mode_of]
        moving = moving.new_zeros(len(modes)).index_fill_(0, merged[moving], True)
    return _merge(modes, mode_of, mean, variance, bandwidth / 2)


def _averages(modes: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    weight = modes.to(mean.dtype) / modes.sum(1, keepdim=True)
    return weight @ mean, weight @ variance


def _merge(modes: Tensor, mode_of: Tensor, mean: Tensor, variance: Tensor, radius: Tensor) -> Tensor:
    """Group indices ``[n]``: modes within ``radius`` joined, the most populated first (scikit-learn's MeanShift)."""
    centre, spread = _averages(modes, mean, variance)
    close = (fisher_distance(centre, spread, centre, spread) <= radius).cpu()
    order = torch.bincount(mode_of, minlength=len(modes)).cpu().argsort(descending=True, stable=True)
    owner = torch.full((len(modes),), -1)
    for mode in order.tolist():
        if owner[mode] < 0:
            owner[close[mode] & (owner < 0)] = mode
            owner[mode] = mode
    return owner.to(mode_of.device)[mode_of].unique(return_inverse=True)[1]


def affinity(mean: Tensor, inverted: bool) -> Tensor:
    """Groups ``[n]`` by affinity propagation on squared Euclidean distances of the means (released code).

    The release hands the *distance* over as if it were a similarity (``inverted``), which groups what is far apart; the
    corrected form negates it. All -1 where the algorithm does not converge, as in the release.
    """
    import warnings

    from sklearn.cluster import AffinityPropagation
    from sklearn.exceptions import ConvergenceWarning

    if len(mean) < 2:
        return torch.zeros(len(mean), dtype=torch.long, device=mean.device)
    distances = torch.cdist(mean.double(), mean.double()).square().cpu().numpy()
    clustering = AffinityPropagation(affinity="precomputed", random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)  # the scikit-learn of the release gave -1; today's may not
        try:
            labels = clustering.fit(distances if inverted else -distances).labels_
        except ConvergenceWarning:
            labels = [-1] * len(mean)
    return torch.as_tensor(labels, dtype=torch.long, device=mean.device)


def group_classes(mean: Tensor, variance: Tensor, observations: Tensor, method: str, neighbours: int) -> Tensor:
    """Group index of each class, ``[C]`` int64, -1 for classes without one.

    Args:
        mean: running means of the features, ``[C, d]``.
        variance: their running variances, ``[C, d]``.
        observations: real features seen of each class, ``[C]``.
        method: ``mean_shift`` (paper), ``affinity_released``, ``affinity`` (its sign corrected) or ``class`` (each
            alone). Classes never seen are left out (-1), but ``affinity_released`` clusters their zero means too.
        neighbours: relative bandwidth of ``mean_shift``.
    """
    if method == "affinity_released":
        return affinity(mean, inverted=True)
    seen = (observations > 0).nonzero().squeeze(1)
    groups = torch.full((len(mean),), -1, dtype=torch.long, device=mean.device)
    if method == "class":
        groups[seen] = seen
    elif method == "affinity":
        groups[seen] = affinity(mean[seen], inverted=False)
    else:
        groups[seen] = mean_shift(mean[seen], variance[seen], neighbours)
    return groups
