"""Grouping LVIS's 1,203 classes of 1,024 features: seconds, groups found, agreement with planted clusters.

python -m benchmarks.grouping
"""

from __future__ import annotations

import torch
from sklearn.metrics import adjusted_rand_score, homogeneity_score

from benchmarks.timing import medians, where
from fasa.method.grouping import affinity, fisher_distance, mean_shift

CLASSES, DIM, CLUSTERS = 1203, 1024, 200
ROUNDS = 3


def plain_fisher(mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Eq 5 one row at a time."""
    rows = [((m - mean).square() / (v + variance + 1e-6)).mean(1) for m, v in zip(mean, variance, strict=True)]
    return torch.stack(rows)


def main() -> None:
    torch.manual_seed(0)
    truth = torch.arange(CLASSES) % CLUSTERS
    variance = 0.25 + 0.5 * torch.rand(CLASSES, DIM)
    means = {
        f"{CLUSTERS} planted clusters": torch.randn(CLUSTERS, DIM)[truth] + 0.3 * torch.randn(CLASSES, DIM),
        "unstructured": torch.randn(CLASSES, DIM),
    }
    print(f"{CLASSES} classes x {DIM}; {where()}")
    print(f"{'features':<22}  {'method':<26}  seconds  groups  largest  adj. Rand  homogeneity")
    for features, mean in means.items():
        methods = {
            "mean_shift": lambda mean=mean: mean_shift(mean, variance),
            "mean_shift, neighbours=3": lambda mean=mean: mean_shift(mean, variance, neighbours=3),
            "mean_shift, neighbours=10": lambda mean=mean: mean_shift(mean, variance, neighbours=10),
            "affinity": lambda mean=mean: affinity(mean, inverted=False),
            "affinity_released": lambda mean=mean: affinity(mean, inverted=True),
        }
        took = medians(methods, ROUNDS)
        for name, method in methods.items():
            groups = method()
            score = f"{adjusted_rand_score(truth, groups):9.2f}  {homogeneity_score(truth, groups):11.2f}"
            found = 0 if (groups < 0).all() else len(groups.unique())
            largest = int(groups.unique(return_counts=True)[1].max()) if found else 0
            tail = score if features != "unstructured" and found else f"{'—':>9}  {'—':>11}"
            print(f"{features:<22}  {name:<26}  {took[name]:7.2f}  {found:6}  {largest:7}  {tail}")
    mean = means["unstructured"]
    torch.testing.assert_close(fisher_distance(mean, variance, mean, variance), plain_fisher(mean, variance))
    took = medians(
        {
            "tiles": lambda: fisher_distance(mean, variance, mean, variance),
            "rows": lambda: plain_fisher(mean, variance),
        },
        ROUNDS,
    )
    print(
        f"Fisher's ratio of all pairs: {took['tiles']:.2f} s in tiles, {took['rows']:.2f} s row by row, "
        f"ratio {took['rows'] / took['tiles']:.1f}"
    )


if __name__ == "__main__":
    main()
