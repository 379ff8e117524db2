"""Gather a figure's series from the runs: who has the measurement, and a word about those that lack it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from fasa.reporting.cells import explain_missing
from fasa.reporting.figures import style
from fasa.reporting.frequency import Group, frequency_groups

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure


LACKS = "the run has no"  # begins the reason where a run is there but not what the figure shows


@dataclass(frozen=True)
class Series:
    """One line of a figure: its label, its panel, and the metrics of every seed that measured what the figure shows."""

    label: str
    group: str
    recipe: str
    runs: tuple[dict[str, Any], ...]
    missing: tuple[tuple[int, str], ...]

    @property
    def counts(self) -> np.ndarray:
        """Training images (a detector's: instances) of each class, [C]."""
        return np.asarray(self.runs[0]["class_counts"])

    @property
    def groups(self) -> list[Group]:
        """The classes by their frequency, the most frequent group first."""
        return frequency_groups(self.runs[0])

    @property
    def order(self) -> np.ndarray:
        """Class indices group after group, in each from the largest class to the smallest, [C]; ties keep their order.

        LVIS's groups follow images, not instances, so a common class may have more instances than a frequent one.
        """
        return np.concatenate([group.members for group in self.groups])

    @property
    def names(self) -> list[str]:
        """Class names, in that order."""
        return [str(self.runs[0]["class_names"][index]) for index in self.order]

    def measured(self, *keys: str) -> np.ndarray:
        """The measurement at ``keys`` of every run, [seeds, …] as floats (null = NaN), cut to the shortest run."""
        values = [np.asarray(_at(run, keys), dtype=float) for run in self.runs]
        shortest = min(len(value) for value in values)
        return np.stack([value[:shortest] for value in values])

    def per_class(self, key: str) -> np.ndarray:
        """A measurement with one value a class, of every run, [seeds, C] with the classes in :attr:`order`."""
        return self.measured(key)[:, self.order]


def finite_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where all is."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=0) / there.sum(axis=0)


def gather(figure: Figure, study: Study, *keys: str, per_class: bool = False) -> list[Series]:
    """All series of ``figure``, each with the runs that have the measurement at ``keys``; a series may have none.

    Without ``keys`` every run counts; with ``per_class`` one has the measurement if it has as many values as classes.
    """
    gathered = []
    for entry in figure.series:
        runs, missing = [], []
        for seed in study.seeds(entry.recipe):
            metrics = study.load_metrics(entry.recipe, seed)
            if metrics is None:
                missing.append((seed, study.missing_reason(entry.recipe, seed)))
            elif (value := _at(metrics, keys)) is None:
                missing.append((seed, f"{LACKS} measurement {'.'.join(keys)}, on {metrics['dataset']}"))
            elif per_class and len(value) != len(metrics["class_counts"]):
                number = f"{len(metrics['class_counts'])} {'.'.join(keys)} but {len(value)}"
                missing.append((seed, f"{LACKS} {number}, evaluate it again"))
            else:
                runs.append(metrics)
        gathered.append(Series(entry.label, entry.group, entry.recipe, tuple(runs), tuple(missing)))
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


def sources(series: list[Series]) -> str:
    """What our numbers beside published ones are called: "ours" and the data sets they were measured on."""
    return f"ours ({', '.join(sorted({run['dataset'] for one in series for run in one.runs}))})"


def empty(figure: Figure, study: Study, series: list[Series]) -> Canvas:
    """The figure without any run: says why, and what would make it, unless runs lack what it shows."""
    reasons = dict.fromkeys(reason for one in series for _, reason in one.missing)
    run = f"{figure.series[0].recipe} --scale {study.scale.name}"
    made = all(reason.startswith(LACKS) for reason in reasons)
    mend = "" if made else f": fasa train {run}, then fasa evaluate {run}"
    return style.message(figure.title, f"No run to draw yet ({'; '.join(reasons)}){mend}")


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
