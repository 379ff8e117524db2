"""Gather a figure's series from the runs: who has the measurement, and a word about those that lack it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from fasa.reporting.cells import explain_missing
from fasa.reporting.figures import style

if TYPE_CHECKING:
    from fasa.experiments import Study
    from fasa.experiments.tables import Figure


@dataclass(frozen=True)
class Series:
    """One line of a figure: its label, its panel, and the metrics of every seed that measured what the figure shows."""

    label: str
    group: str
    runs: tuple[dict[str, Any], ...]
    missing: tuple[tuple[int, str], ...]

    @property
    def counts(self) -> np.ndarray:
        """Training images per class, [C]."""
        return np.asarray(self.runs[0]["class_counts"])

    @property
    def order(self) -> np.ndarray:
        """Class indices from the largest class to the smallest, [C]; ties keep their order."""
        return np.argsort(-self.counts, kind="stable")

    @property
    def names(self) -> list[str]:
        """Class names, the largest class first."""
        return [str(self.runs[0]["class_names"][index]) for index in self.order]

    def measured(self, *keys: str) -> np.ndarray:
        """The measurement at ``keys`` of every run, [seeds, …] as floats (null = NaN), cut to the shortest run."""
        values = [np.asarray(_at(run, keys), dtype=float) for run in self.runs]
        shortest = min(len(value) for value in values)
        return np.stack([value[:shortest] for value in values])


def gather(figure: Figure, study: Study, *keys: str) -> list[Series]:
    """All series of ``figure``, each with the runs that have the measurement at ``keys``; a series may have none."""
    gathered = []
    for entry in figure.series:
        runs, missing = [], []
        for seed in study.scale.seeds:
            metrics = study.load_metrics(entry.recipe, seed)
            if metrics is None:
                missing.append((seed, study.missing_reason(entry.recipe, seed)))
            elif _at(metrics, keys) is None:
                missing.append((seed, f"the run has no measurement {'.'.join(keys)}"))
            else:
                runs.append(metrics)
        gathered.append(Series(entry.label, entry.group, tuple(runs), tuple(missing)))
    return gathered


def present(series: list[Series]) -> list[Series]:
    """The series that have a run."""
    return [one for one in series if one.runs]


def panels(series: list[Series]) -> dict[str, list[Series]]:
    """Series by group, in the order of the figure; a series without a run keeps its place (and so its style)."""
    grouped: dict[str, list[Series]] = {}
    for one in series:
        grouped.setdefault(one.group, []).append(one)
    return {group: members for group, members in grouped.items() if present(members)}


def empty(figure: Figure, study: Study, series: list[Series]) -> Canvas:
    """The figure without any run: says why, and what would make it."""
    reasons = dict.fromkeys(reason for one in series for _, reason in one.missing)
    run = f"{figure.series[0].recipe} --scale {study.scale.name}"
    return style.message(
        figure.title, f"No run to draw yet ({'; '.join(reasons)}): fasa train {run}, then fasa evaluate {run}"
    )


def missing_note(series: list[Series]) -> str:
    """What the figure lacks: "Missing: …"; empty if it is whole."""
    labels = [one.label for one in series]
    lacking: dict[str, list[str]] = {}
    for one in series:
        if one.missing:
            name = one.label if labels.count(one.label) == 1 else f"{one.group} {one.label}"
            lacking.setdefault(explain_missing(one.missing), []).append(name)
    return "Missing: " + "; ".join(f"{', '.join(names)} ({why})" for why, names in lacking.items()) if lacking else ""


def _at(metrics: dict[str, Any], keys: tuple[str, ...]) -> Any:
    value: Any = metrics["measurements"]
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
