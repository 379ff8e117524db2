"""A run's classes from frequent to rare: LVIS's letters if its data set has them, else many, medium and few shots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fasa.datasets.shots import FEW, MANY, has_limits, shots

LETTERS = {"f": "frequent", "c": "common", "r": "rare"}
# LVIS's letters follow its training images; generated scenes put the bounds where LVIS's shares of classes are.
LVIS_LIMITS = {"frequent": "> 100 images", "common": "11–100 images", "rare": "≤ 10 images"}
SHOT_LIMITS = {"many": f"> {MANY}", "medium": f"{FEW}–{MANY}", "few": f"< {FEW}"}


@dataclass(frozen=True)
class FrequencyGroup:
    """Classes of like size: their indices, the largest class first, and ``limits`` in words, empty if not known."""

    name: str
    limits: str
    members: np.ndarray

    @property
    def label(self) -> str:
        """Name and limits on one line."""
        return f"{self.name} ({self.limits})" if self.limits else self.name


def frequency_groups(run: Mapping[str, Any]) -> list[FrequencyGroup]:
    """The groups of a run's classes, the largest first; a group without a class is left out.

    Args:
        run: its metrics: ``class_counts``, a detector's ``frequencies``, and ``dataset``.
    """
    counts = np.asarray(run["class_counts"])
    letters = np.asarray(run.get("frequencies", []))
    if letters.size and (letters != "").all():
        order = np.argsort(-counts, kind="stable")
        found = {name: order[letters[order] == letter] for letter, name in LETTERS.items()}
        limits = LVIS_LIMITS if run["dataset"] == "lvis" else dict.fromkeys(found, "")
    else:
        found = {name: np.array(members) for name, members in shots(counts.tolist()).items()}
        spans = {name: _span(counts[members]) for name, members in found.items() if len(members)}
        numbers = SHOT_LIMITS if has_limits(counts.tolist()) else spans
        limits = {name: f"{number} {counted(run)}" for name, number in numbers.items()}
    return [FrequencyGroup(name, limits[name], members) for name, members in found.items() if len(members)]


def counted(run: Mapping[str, Any]) -> str:
    """What ``class_counts`` of a run counts: a detector's are instances."""
    return "instances" if "frequencies" in run else "images"


def _span(counts: np.ndarray) -> str:
    return f"{counts.min()}–{counts.max()}" if counts.min() < counts.max() else f"{counts.min()}"
