"""What a figure is drawn from: its series with the runs that have the measurement, and why the others have not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fasa.errors import UserError
from fasa.reporting.cells import explain_missing, load_runs
from fasa.reporting.figures import style
from fasa.reporting.frequency import FrequencyGroup, frequency_groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from fasa.reporting.figures import Kind
    from fasa.study import Study
    from fasa.study.artifacts import Figure

LACKS = "the run has no"  # begins the reason where a run is there but not what the figure shows


class NothingToDraw(Exception):
    """Why a figure is empty, in words for its reader."""


@dataclass(frozen=True)
class MeasuredSeries:
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
    def groups(self) -> list[FrequencyGroup]:
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

    def measured(self, measurement: str) -> np.ndarray:
        """The measurement of every run, [seeds, …] as floats (null = NaN), cut to the shortest run."""
        values = [np.asarray(_at(run, measurement), dtype=float) for run in self.runs]
        shortest = min(len(value) for value in values)
        return np.stack([value[:shortest] for value in values])

    def first(self, measurement: str) -> np.ndarray:
        """The measurement of the first run alone, as floats."""
        return np.asarray(_at(self.runs[0], measurement), dtype=float)

    def per_class(self, measurement: str) -> np.ndarray:
        """A measurement with one value a class, of every run, [seeds, C] with the classes in :attr:`order`."""
        return self.measured(measurement)[:, self.order]


@dataclass(frozen=True)
class FigureData:
    """A figure and its series, in its order; a series without a run keeps its place (and so its style).

    ``for_paper`` keeps remarks out of the picture; ``notes`` has them either way.
    """

    figure: Figure
    study: Study
    series: tuple[MeasuredSeries, ...]
    for_paper: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def present(self) -> list[MeasuredSeries]:
        """The series that have a run."""
        return [one for one in self.series if one.runs]

    @property
    def groups(self) -> dict[str, list[MeasuredSeries]]:
        """Series by group."""
        grouped: dict[str, list[MeasuredSeries]] = {}
        for one in self.series:
            grouped.setdefault(one.group, []).append(one)
        return grouped

    @property
    def panels(self) -> dict[str, list[MeasuredSeries]]:
        """The groups that have a run."""
        return {group: members for group, members in self.groups.items() if any(one.runs for one in members)}

    @property
    def first_seeds(self) -> str:
        """The seeds of each present series' first run, for figures of one run each."""
        return ", ".join(f"{one.label}: seed {one.runs[0]['seed']}" for one in self.present)

    @property
    def source(self) -> str:
        """What our numbers beside published ones are called: "ours" and the data sets they were measured on."""
        return f"ours ({', '.join(sorted({run['dataset'] for one in self.series for run in one.runs}))})"

    def published(self, one: MeasuredSeries, measure: str) -> float | None:
        """The paper's number for a series, as the tables hold it."""
        return published(self.study, one.recipe, measure)

    def note(self, canvas: Canvas, text: str = "") -> None:
        """Note a remark and what the figure lacks: below the panels, or for a paper's caption."""
        self.notes.append(f"{text} {self._missing()}".strip())
        if not self.for_paper:
            style.note(canvas, self.notes[-1])

    def _missing(self) -> str:
        """What the figure lacks: "Missing: …"; empty if it is whole."""
        labels = [one.label for one in self.series]
        lacking: dict[str, list[str]] = {}
        for one in self.series:
            if one.missing:
                name = one.label if labels.count(one.label) == 1 else f"{one.group} {one.label}"
                lacking.setdefault(explain_missing(one.missing), []).append(name)
        reasons = "; ".join(f"{', '.join(names)} ({why})" for why, names in lacking.items())
        return f"Missing: {reasons}" if reasons else ""

    def check_present(self) -> None:
        """See that there is a run to draw.

        Raises:
            NothingToDraw: why there is none, and what would make one, unless runs lack what the figure shows.
        """
        if self.present:
            return
        reasons = dict.fromkeys(reason for one in self.series for _, reason in one.missing)
        run = f"{self.series[0].recipe} --scale {self.study.scale.name}"
        made = all(reason.startswith(LACKS) for reason in reasons)
        command = "" if made else f": fasa train {run}, then fasa evaluate {run}"
        raise NothingToDraw(f"No run to draw yet ({'; '.join(reasons)}){command}")


def gather(figure: Figure, study: Study, kind: Kind, for_paper: bool = False) -> FigureData:
    """All series of ``figure``, each with the runs that have the measurement of its ``kind``.

    Raises:
        UserError: the kind wants pairs, and a group is not one.
    """
    series = []
    for entry in figure.series:
        measured, missing = load_runs(study, entry.recipe)
        lacking = {seed: reason for seed, run in measured.items() if (reason := _lacks(run, kind)) is not None}
        runs = tuple(run for seed, run in measured.items() if seed not in lacking)
        reasons = tuple(sorted((missing | lacking).items()))
        series.append(MeasuredSeries(entry.label, entry.group, entry.recipe, runs, reasons))
    data = FigureData(figure, study, tuple(series), for_paper)
    for group, members in data.groups.items():
        if kind.pairs and len(members) != 2:
            raise UserError(
                f"figure {figure.name}: group '{group}' is not a baseline and the same with FASA; give two."
            )
    return data


def finite_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where all is."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=0) / there.sum(axis=0)


def published(study: Study, recipe: str, measure: str) -> float | None:
    """What the first table with a row of ``recipe`` and a column of ``measure`` prints there; None without one.

    Args:
        measure: a column's key, such as ``mask_ap.APr``; the number is in that column's unit.
    """
    for table in study.tables.values():
        names = [column.published for column in table.columns if column.key == measure]
        for row in table.rows:
            for name in names:
                if row.recipe == recipe and row.measure is None and name in row.published:
                    return row.published[name][0]
    return None


def _lacks(run: dict[str, Any], kind: Kind) -> str | None:
    """Why a run cannot be drawn; None where it can."""
    value = _at(run, kind.measurement)
    if value is None:
        return f"{LACKS} measurement {kind.measurement}, on {run['dataset']}"
    classes = len(run["class_counts"])
    if kind.per_class and len(value) != classes:
        return f"{LACKS} {classes} {kind.measurement} but {len(value)}, evaluate it again"
    return None


def _at(run: dict[str, Any], measurement: str) -> Any:
    """What stands at a dotted path of a run's measurements; all of them for an empty one."""
    value: Any = run["measurements"]
    for key in measurement.split(".") if measurement else ():
        value = value.get(key) if isinstance(value, dict) else None
    return value
