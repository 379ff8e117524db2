"""Figure 1c, TIDE's errors and COCO-LT's bins: what the paper prints beside what we measured, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure as Canvas

from fasa.reporting.cells import lookup
from fasa.reporting.figures import style
from fasa.reporting.figures.series import FigureData, MeasuredSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAINS = {"mask_ap.AP": "gain in AP", "mask_ap.APr": "gain in AP$_r$"}
TIME = "cost.seconds_per_iteration"
PUBLISHED_TIME = 3  # per cent, "on average": caption of figure 1
ERRORS = {
    "tide.cls": "class",
    "tide.loc": "location",
    "tide.both": "both",
    "tide.dupe": "dupli-\ncate",
    "tide.bkg": "back-\nground",
    "tide.miss": "missed",
}
BINS = {
    "mask_ap.AP_1_20": "1–19",
    "mask_ap.AP_20_400": "20–399",
    "mask_ap.AP_400_8000": "400–7,999",
    "mask_ap.AP_8000": "≥ 8,000",
}
FULL = 0.84  # of a place's width is for its bars
NUMBER = 5.5  # points: size of the numbers
DOTS = "Dots: single runs."


def draw_gains(data: FigureData) -> Canvas:
    """Figure 1c: what FASA adds to the AP of every baseline, published beside ours, and to its training time.

    Each group of the figure is a baseline and, after it, the same with FASA; runs are paired by seed.
    """
    pairs = [(members[0], members[1]) for members in data.groups.values()]
    canvas = Canvas(figsize=(style.NARROW, 4.4))
    grid = canvas.subplots(len(GAINS) + 1, 1, sharex=True, height_ratios=[1] * len(GAINS) + [0.8])
    for axes, (measure, name) in zip(grid, GAINS.items(), strict=False):
        published = [_published_gain(data, *pair, measure) for pair in pairs]
        ours = [[100 * gain for gain in gains(*pair, measure)] for pair in pairs]
        cluster(axes, published, 0, 2, "published", "{:+.1f}")
        cluster(axes, ours, 1, 2, data.source, "{:+.1f}", runs=True)
        axes.set_ylabel(f"{name} (points)")
    times = grid[-1]
    line = times.axhline(PUBLISHED_TIME, color="black", linewidth=0.9, linestyle=(0, (4, 2)), zorder=0.5)
    cluster(times, [added_time(*pair) for pair in pairs], 1, 2, "", "{:+.1f}", runs=True)
    style.legend_above(times, handles=[line], labels=[f"published: about {PUBLISHED_TIME} %, on average"])
    times.set_ylabel("added time (%)")
    for axes in grid:
        name_places(axes, list(data.groups))
    style.legend_above(grid[0], columns=2)
    data.note(canvas, f"{DOTS} –: no number. Time: of an iteration of training.")
    return canvas


def draw_errors(data: FigureData) -> Canvas:
    """AP points that each of TIDE's six error types costs."""
    return _draw_levels(data, ERRORS, 1, "AP points lost", "error")


def draw_bins(data: FigureData) -> Canvas:
    """AP of the classes of each of COCO-LT's four bins."""
    return _draw_levels(data, BINS, 100, "AP (%)", "training instances of a class")


def gains(baseline: MeasuredSeries, fasa: MeasuredSeries, measure: str) -> list[float]:
    """By how much ``measure`` is larger with FASA, for every seed that has both, in the runs' own unit."""
    without, with_fasa = _by_seed(baseline, measure), _by_seed(fasa, measure)
    return [with_fasa[seed] - without[seed] for seed in sorted(with_fasa.keys() & without.keys())]


def added_time(baseline: MeasuredSeries, fasa: MeasuredSeries) -> list[float]:
    """By how many per cent an iteration takes longer, for every seed whose two runs were timed on the same device."""
    without, with_fasa = _by_seed(baseline, TIME), _by_seed(fasa, TIME)
    devices = [{run["seed"]: run["device"] for run in one.runs} for one in (baseline, fasa)]
    both = sorted(with_fasa.keys() & without.keys())
    return [100 * (with_fasa[s] / without[s] - 1) for s in both if devices[0][s] == devices[1][s]]


def cluster(
    axes: Axes,
    values: Sequence[Sequence[float]],
    index: int,
    of: int,
    label: str,
    form: str = "{:.1f}",
    runs: bool = False,
) -> None:
    """Draw series ``index`` of ``of``: a bar at each place 0, 1, …, its number beyond its end.

    Args:
        values: at each place what was measured: the bar is its mean; a dash without any.
        runs: whether ``values`` are of runs, and each is a dot.
    """
    look, width = style.of(index), FULL / of
    for place, measured in enumerate(values):
        x = place + (index - (of - 1) / 2) * width
        mean = float(np.mean(measured)) if measured else 0.0
        (bar,) = axes.bar(x, mean, width, color="white" if index else style.LIGHT)
        bar.set(edgecolor=look.color, hatch=look.hatch, linewidth=0.6, label="" if place else label)
        low, high = (min(*measured, 0), max(*measured, 0)) if measured else (0, 0)
        if runs:
            spread = x + width * (np.arange(len(measured)) - (len(measured) - 1) / 2) / max(4, len(measured) + 1)
            axes.plot(spread, measured, color="black", linestyle="", marker="o", markersize=1.6, zorder=3)
        number = axes.annotate(
            form.format(mean).replace("-", "−") if measured else "–",
            (x, low if mean < 0 else high),
            (0, -1.5 if mean < 0 else 1.5),
            textcoords="offset points",
            fontsize=NUMBER,
            ha="center",
            va="top" if mean < 0 else "bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},  # no line runs through it
            zorder=4,
        )
        number.set_clip_on(False)


def name_places(axes: Axes, names: Sequence[str]) -> None:
    """Name the places on the x axis, and leave room for the numbers."""
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.margins(x=0.02, y=0.15)


def _draw_levels(data: FigureData, measures: Mapping[str, str], factor: float, height: str, place: str) -> Canvas:
    """Two panels side by side, for levels on different data do not share an axis; ours has the places it measured."""
    printed = [[data.published(one, measure) for measure in measures] for one in data.series]
    ours = [[[factor * v for v in _by_seed(one, measure).values()] for measure in measures] for one in data.series]
    there = [index for index in range(len(measures)) if any(values[index] for values in ours)]
    canvas = Canvas(figsize=(style.WIDE, 2.4))
    left, right = canvas.subplots(1, 2, width_ratios=[len(measures), len(there)])
    for index, one in enumerate(data.series):
        published = [[] if value is None else [value] for value in printed[index]]
        cluster(left, published, index, len(data.series), one.label)
        cluster(right, [ours[index][at] for at in there], index, len(data.series), "", runs=True)
    names = list(measures.values())
    name_places(left, names)
    name_places(right, [names[at] for at in there])
    for axes, source in ((left, "published"), (right, data.source)):
        axes.set_ylabel(f"{source}\n{height}")
        axes.set_xlabel(place)
    canvas.legend(loc="outside upper center", ncols=len(data.series))
    without = [name for at, name in enumerate(names) if at not in there]
    absent = f" Not in our data: {', '.join(without)}." if without else ""
    data.note(canvas, f"{DOTS} –: no number.{absent}")
    return canvas


def _by_seed(one: MeasuredSeries, measure: str) -> dict[int, float]:
    values = {run["seed"]: lookup(run["measurements"], measure) for run in one.runs}
    return {seed: value for seed, value in values.items() if value is not None}


def _published_gain(data: FigureData, baseline: MeasuredSeries, fasa: MeasuredSeries, measure: str) -> list[float]:
    without, with_fasa = (data.published(one, measure) for one in (baseline, fasa))
    return [] if without is None or with_fasa is None else [with_fasa - without]
