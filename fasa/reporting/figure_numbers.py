"""What the paper's figures show, as numbers made of a run's measurements: no run is evaluated again for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fasa.reporting.frequency import frequency_groups

PLACE = "figures"  # where tables find these numbers, beside the measurements
NAMES = {"many": "frequent", "medium": "common", "few": "rare"}  # a classifier's groups by a detector's names
THIRDS = ("first_third", "second_third", "last_third")


def figure_numbers(run: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of figures 1a, 1b, 3, 4a and 5 that the measurements of ``run`` are enough for.

    Args:
        run: its metrics: ``class_counts`` of C classes, ``measurements``, and what
            :func:`~fasa.reporting.frequency.frequency_groups` needs.

    Returns:
        ``imbalance.{real, both}``: mean examples of frequent classes over those of rare ones, real ones and with the
        virtual features of the whole training (1a). ``true_class.GROUP``: mean probability of the true class (1b).
        ``top1.GROUP``: beside it, the share of regions in which it is first.
        ``weight_norms.{variation, rare_to_frequent}``: standard deviation of the classes' norms over their mean, and
        mean norm of rare classes over that of frequent ones (3). ``sampling.GROUP``: of the group's mean sampling
        probability its ``mean`` over the epochs, also ``per_mille``, its ``range``, also over the mean
        (``relative_range``), and its growth, end over begin, in each third of them (4a). ``groups.{count, largest}``:
        at the last epoch, and the largest one's share of the classes (5).
        GROUP is rare, common or frequent; a classifier's few, medium and many are called so, too.
    """
    members = {NAMES.get(group.name, group.name): group.members for group in frequency_groups(run)}
    measured, counts = run["measurements"], np.asarray(run["class_counts"], float)
    found: dict[str, Any] = {}
    virtual = _by_class(measured.get("virtual_features"), len(counts))
    if virtual is not None:
        found["imbalance"] = {"real": _ratio(counts, members), "both": _ratio(counts + virtual, members)}
    for name, place in (("true_class", "class_probabilities"), ("top1", "class_top1")):
        shares = _by_class(measured.get(place), len(counts))
        if shares is not None:
            found[name] = {group: _mean(shares[indices]) for group, indices in members.items()}
    norms = _by_class(measured.get("weight_norms"), len(counts))
    if norms is not None:
        ratio = _ratio(norms, members)
        found["weight_norms"] = {
            "variation": float(norms.std() / norms.mean()),
            "rare_to_frequent": 1 / ratio if ratio else None,
        }
    trajectory = measured.get("sampling_trajectory")
    if trajectory is not None:
        probabilities = np.asarray(trajectory["probabilities"], float)  # [epochs, C]
        found["sampling"] = {name: _course(probabilities[:, indices].mean(axis=1)) for name, indices in members.items()}
        if "groups" in trajectory:
            found["groups"] = _groups(np.asarray(trajectory["groups"][-1]))
    return found


def _by_class(values: list[float | None] | None, classes: int) -> np.ndarray | None:
    """One value a class [C], null as NaN; None where there are not so many."""
    return np.asarray(values, float) if values is not None and len(values) == classes else None


def _ratio(values: np.ndarray, members: Mapping[str, np.ndarray]) -> float | None:
    """Mean of the frequent classes over mean of the rare ones; None without one of them."""
    if not {"frequent", "rare"} <= members.keys():
        return None
    return float(values[members["frequent"]].mean() / values[members["rare"]].mean())


def _mean(values: np.ndarray) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _course(probabilities: np.ndarray) -> dict[str, float | None]:
    """How a group's mean probability [epochs] went; no growth from 0, or in a third that holds no step."""
    last = len(probabilities) - 1
    ends = [round(last * third / len(THIRDS)) for third in range(len(THIRDS) + 1)]
    growth = {}
    for name, begin, end in zip(THIRDS, ends, ends[1:], strict=False):
        whole = end > begin and probabilities[begin] > 0
        growth[name] = float(probabilities[end] / probabilities[begin]) if whole else None
    mean, moved = float(probabilities.mean()), float(np.ptp(probabilities))
    relative = moved / mean if mean else None
    return {"mean": mean, "range": moved, "per_mille": 1000 * mean, "relative_range": relative, **growth}


def _groups(groups: np.ndarray) -> dict[str, float | None]:
    """Classes that were never seen are in none (−1)."""
    _, sizes = np.unique(groups[groups >= 0], return_counts=True)
    return {"count": len(sizes), "largest": float(sizes.max() / sizes.sum()) if len(sizes) else None}
