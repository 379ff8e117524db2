"""A second look at what FASA did in trained detectors: its adaptation replayed, its groups found again, others tried.

python -m benchmarks.second_look [RECIPE …] [--scale mini] [--seed 0]

Reads results/SCALE/runs and work_dirs/SCALE. Everything is worked out anew here, in NumPy and class by class, from the
paper's section 3.2; only the kept statistics, losses and groups come from the runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from fasa import torch_files
from fasa.method.grouping import group_classes
from fasa.study import Run, Study, load_study
from fasa.tasks.records import read_trained

STATISTICS = ("mean", "variance", "observations")
FLOOR = 1e-6  # docs/deviations.md, row 4
OTHERS = [("mean_shift", n) for n in (2, 3, 4, 5, 8, 12)] + [("affinity", 0), ("affinity_released", 0)]


def adapted(p: np.ndarray, loss: np.ndarray, count: np.ndarray, groups: np.ndarray, pooled: bool) -> np.ndarray:
    """The next probabilities ``[C]``: its group's loss over classes known in both epochs ``[2, C]`` fell or rose."""
    after = p.copy()
    for group in set(groups[groups >= 0].tolist()):
        members = groups == group
        known = members & np.isfinite(loss).all(0)
        if not known.any():
            continue
        before, now = np.average(loss[:, known], axis=1, weights=count[:, known] if pooled else None)
        if now != before:
            after[members] *= 1.1 if now < before else 0.9
    return after.clip(0, 1)


def distance(mean: np.ndarray, variance: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Eq 5 of one Gaussian ``[d]`` to each of ``[C, d]``, mean over dimensions; ``[C]``."""
    return ((mean - means) ** 2 / (variance + variances + FLOOR)).mean(1)


def shifted(means: np.ndarray, variances: np.ndarray, neighbours: int) -> list[int]:
    """Groups by flat-kernel mean-shift, one class after the other: where each ends, and who ends near it."""
    classes = len(means)
    nearest = max(2, min(neighbours, 1 + classes // 5)) - 1
    reaches = [np.sort(distance(means[c], variances[c], means, variances))[nearest] for c in range(classes)]
    bandwidth = float(np.sort(reaches)[(classes - 1) // 2])  # of two middle ones the lower, as torch's median
    ends = []
    for c in range(classes):
        inside = distance(means[c], variances[c], means, variances) <= bandwidth
        inside[c] = True
        for _ in range(50):
            centre = means[inside].mean(0), variances[inside].mean(0)
            moved = distance(*centre, means, variances) <= bandwidth
            if not moved.any() or (moved == inside).all():
                break
            inside = moved
        ends.append(tuple(np.flatnonzero(inside).tolist()))
    population = {end: ends.count(end) for end in ends}
    centres = {end: (means[list(end)].mean(0), variances[list(end)].mean(0)) for end in population}
    group_of: dict[tuple[int, ...], int] = {}
    for end in sorted(population, key=lambda e: -population[e]):
        if end in group_of:
            continue
        number = len(set(group_of.values()))
        for other in population:
            near = distance(*centres[end], centres[other][0][None], centres[other][1][None])[0] <= bandwidth / 2
            if other == end or (near and other not in group_of):
                group_of[other] = number
    return [group_of[end] for end in ends]


def partition(groups: Any) -> set[frozenset[int]]:
    """Groups as sets of classes: their numbers mean nothing."""
    numbers = np.asarray(groups)
    return {frozenset(np.flatnonzero(numbers == g).tolist()) for g in set(numbers[numbers >= 0].tolist())}


def sizes(groups: Any) -> str:
    found = partition(groups)
    return f"{len(found):3} groups, the largest of {max(map(len, found), default=0):3}"


def by_letter(values: np.ndarray, letters: np.ndarray, join: Callable[[np.ndarray], Any] = np.nanmean) -> str:
    """A number for the rare, the common and the frequent classes."""
    return ", ".join(f"{x} {join(values[letters == x]):.2f}" for x in "rcf")


def validation_count(history: list[dict[str, Any]], classes: int) -> np.ndarray:
    """Held-out regions of each class in each epoch, ``[epochs, C]``."""
    counts = [next(iter(line["heads"].values()))["validation_count"] for line in history]
    return np.array(counts, float)[:, :classes]


def look(study: Study, recipe: str, seed: int) -> None:
    """Print what the run's adaptation did, and what other groupings would make of its last statistics."""
    run = study.load_metrics(recipe, seed)
    if run is None:
        print(f"{recipe}, seed {seed}: {study.missing_reason(recipe, seed)}")
        return
    measured, letters = run["measurements"], np.array(run["frequencies"])
    used, groups = (np.array(measured["sampling_trajectory"][key]) for key in ("probabilities", "groups"))
    loss = np.array(measured["validation_loss"], float)[:, : used.shape[1]]
    print(f"{recipe}, seed {seed}: {used.shape[1]} classes, {len(used)} epochs")
    for epoch in range(len(used)):
        line = f"  epoch {epoch}: validation loss {by_letter(loss[epoch], letters)}; {sizes(groups[epoch])}"
        if 0 < epoch < len(used) - 1:
            rose, change = loss[epoch] > loss[epoch - 1], used[epoch + 1] - used[epoch]
            line += f"; p raised {(change > 0).sum()}, lowered {(change < 0).sum()}"
            line += f"; own loss rose {rose.sum()}, of which p raised {(rose & (change > 0)).sum()}"
        print(line)
    history = read_trained(study.job(Run(recipe, seed)), "history.json")["epochs"]
    given = study.recipe(recipe).augmenter.options
    literal = given.keys().isdisjoint({"preset", "grouping", "neighbours"}) and given.get("reduction") != "share_sum"
    print("  p, last over first: " + by_letter(used[-1] / used[0], letters))
    if literal:
        steps = range(1, len(used) - 1)
        count, pooled = validation_count(history, used.shape[1]), given.get("reduction", "pooled") == "pooled"
        replayed = [
            adapted(used[e], loss[e - 1 : e + 1], count[e - 1 : e + 1], groups[e], pooled) / used[e + 1] - 1
            for e in steps
        ]
        apart = float(np.abs(replayed).max())
        print(f"  replayed from the losses: p off by at most {apart:.1e} of itself")
    weights = study.work_dir(recipe, seed) / "model.pt"
    state = torch_files.read(weights, "train the run again")["state_dict"]
    mean, variance, seen = (
        next(value for name, value in state.items() if name.endswith(f"fasa.{key}")) for key in STATISTICS
    )
    if literal:
        again = partition(shifted(mean.double().numpy(), variance.double().numpy(), 5))
        word = "the same" if again == partition(groups[-1]) else "OTHERS"
        print(f"  its last groups, found again class by class: {word}")
    iterations = sum(line["iterations"] for line in history)
    print(f"  features a step: real {by_letter(seen.numpy() / iterations, letters, np.sum)}; ", end="")
    print(f"virtual {by_letter(np.array(measured['virtual_features']) / iterations, letters, np.sum)}")
    print(f"  mean standard deviation of a feature: {by_letter(variance.sqrt().mean(1).numpy(), letters)}")
    for method, neighbours in OTHERS:
        name = f"{method}, neighbours = {neighbours}" if neighbours else method
        print(f"    {name:26} {sizes(group_classes(mean, variance, seen, method, neighbours))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=["rfs_fasa"])
    parser.add_argument("--scale", default="mini")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    study = load_study(scale=options.scale)
    for recipe in options.recipes:
        look(study, recipe, options.seed)


if __name__ == "__main__":
    main()
