"""Figures 1a, 1b and 3: a value for each class along an axis, named if they are few, by frequency if they are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fasa.reporting.figures import style
from fasa.reporting.figures.series import FigureData, MeasuredSeries, finite_mean
from fasa.reporting.frequency import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

LONGEST_NAMED = 20  # up to so many classes are drawn one by one, with their names
LEAST = 0.5  # where the logarithmic axis of counts starts, so that a class of one image still shows


def draw_counts(data: FigureData) -> Canvas:
    """Figure 1a: training images or instances per class, and on top the virtual features that FASA adds.

    One panel per series that drew virtual features, the mean over its seeds.
    """
    canvas, grid = style.panels(len(data.present), 2.6)
    for axes, one in zip(grid, data.present, strict=True):
        real = one.counts[one.order]
        both = real + one.per_class("virtual_features").mean(axis=0)
        edges, look = np.arange(len(real) + 1) - 0.5, style.SERIES[1]
        steps: dict[str, Any] = {"baseline": LEAST, "fill": True, "linewidth": 0.9}
        above = axes.stairs(both, edges, facecolor="white", edgecolor=look.color, hatch=look.hatch, **steps)
        below = axes.stairs(real, edges, facecolor=style.LIGHT, edgecolor="black", **steps)
        axes.set_yscale("log")
        axes.set_ylim(bottom=LEAST)
        class_axis(axes, one)
        labels = [f"training {counted(one.runs[0])}", "+ virtual features, expected in all of training"]
        style.legend_above(axes, one.label if len(grid) > 1 else "", handles=[below, above], labels=labels)
    grid[0].set_ylabel("number (log)")
    data.note(canvas)
    return canvas


def draw_probabilities(data: FigureData) -> Canvas:
    """Figure 1b: the mean predicted probability of the true class, without and with FASA; means over seeds.

    One panel per group: bars for a few named classes, points with a running mean for many.
    """
    canvas, grid = style.panels(len(data.panels), 2.6)
    for axes, (group, members) in zip(grid, data.panels.items(), strict=True):
        means = []
        for index, one in enumerate(members):
            if not one.runs:
                continue
            values = finite_mean(one.per_class("class_probabilities"))
            if few(one):
                _bars(axes, values, index, len(members), one.label)
            else:
                cloud(axes, values, index, one.label)
            means.append(group_means(one, values))
            shown = one
        remarks = [" → ".join(f"{mean:.2f}" for mean in parts) for parts in zip(*means, strict=True)]
        class_axis(axes, shown, remarks)
        axes.set_ylim(0, 1)
        style.legend_above(axes, group if len(grid) > 1 else "", columns=2)
    grid[0].set_ylabel("mean probability of the true class")
    data.note(canvas, "" if few(data.present[0]) else "Lines: running means. Under each group: its mean.")
    return canvas


def draw_norms(data: FigureData) -> Canvas:
    """Figure 3: the norm of each class's classifier weight, with and without FASA.

    One panel per pair of recipes; every head is divided by its own mean norm, so that heads of all kinds compare.
    """
    canvas, grid = style.panels(len(data.panels), 2.4)
    for axes, (group, members) in zip(grid, data.panels.items(), strict=True):
        axes.axhline(1, color=style.LIGHT, linewidth=0.8, zorder=0)
        for index, one in enumerate(members):
            if not one.runs:
                continue
            norms, variation = normalised(one.per_class("weight_norms"))
            label = f"{one.label} (CV {variation:.2f})"
            if few(one):
                style.line(axes, np.arange(len(norms)), norms, index, label)
            else:
                cloud(axes, norms, index, label)
            shown = one
        class_axis(axes, shown)
        style.legend_above(axes, group)
    grid[0].set_ylabel("weight norm / mean norm")
    data.note(canvas)
    return canvas


def normalised(norms: np.ndarray) -> tuple[np.ndarray, float]:
    """Per-class norms over their mean, averaged over seeds, and the mean coefficient of variation of the seeds.

    Args:
        norms: [seeds, C].
    """
    relative = norms / norms.mean(axis=1, keepdims=True)
    return relative.mean(axis=0), float(relative.std(axis=1).mean())


def few(one: MeasuredSeries) -> bool:
    """Whether the classes are few enough to be drawn one by one."""
    return len(one.counts) <= LONGEST_NAMED


def class_axis(axes: Axes, one: MeasuredSeries, remarks: Sequence[str] = ()) -> None:
    """Label an x axis with one place per class, in the series' order.

    Args:
        remarks: one for each group of classes, put under its name where classes are many.
    """
    if few(one):
        names = [shortened(name) for name in one.names]
        long = max(map(len, names)) > 3
        axes.set_xticks(range(len(names)), names, rotation=40 if long else 0, ha="right" if long else "center")
        axes.set_xlabel("" if long else "classes, largest first")
        return
    sizes = [len(group.members) for group in one.groups]
    ends = np.cumsum(sizes) - 0.5
    for end in ends[:-1]:
        axes.axvline(end, color=style.LIGHT, linewidth=0.8, zorder=0.5)
    lines = [[group.name, group.limits] for group in one.groups]
    for words, remark in zip(lines, remarks, strict=False):
        words.append(remark)
    axes.set_xticks(ends - np.array(sizes) / 2, ["\n".join(filter(None, words)) for words in lines], fontsize=6.5)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, ends[-1])
    axes.set_xlabel(f"{len(one.names):,} classes, largest first")


def shortened(name: str, longest: int = 17) -> str:
    """A class's name without underscores and, if it is long, without its middle: many names differ at their end."""
    name = name.replace("_", " ")
    half = longest // 2
    return name if len(name) <= longest else f"{name[:half].rstrip()}…{name[-half:].lstrip()}"


def cloud(axes: Axes, values: np.ndarray, index: int, label: str) -> None:
    """Draw one series of many classes [C]: a point each, and their running mean as a line."""
    look, places = style.of(index), np.arange(len(values))
    points = axes.scatter(places, values, 6, marker=look.marker, facecolors="none", edgecolors=look.color)
    points.set(linewidth=0.4, alpha=min(0.6, 150 / len(values)), zorder=1.5)
    smooth = running_mean(values, 2 * (len(values) // 20) + 1)  # a tenth of the classes, and odd
    axes.plot(places, smooth, color="white", linewidth=3)
    axes.plot(places, smooth, color=look.color, linestyle=look.line, label=label, linewidth=1.6)


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over a centred window, which shrinks at the ends, of the values that are not NaN; same length."""
    kernel, there = np.ones(window), np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.convolve(np.where(there, values, 0), kernel, "same") / np.round(np.convolve(there, kernel, "same"))


def group_means(one: MeasuredSeries, values: np.ndarray) -> list[float]:
    """The mean of each frequency group of ``values`` [C] in the series' order, NaN left out."""
    parts = np.split(values, np.cumsum([len(group.members) for group in one.groups])[:-1])
    return [float(np.nanmean(part)) if np.isfinite(part).any() else float("nan") for part in parts]


def _bars(axes: Axes, values: np.ndarray, index: int, series: int, label: str) -> None:
    look, width = style.of(index), 0.8 / series
    places = np.arange(len(values)) + (index - (series - 1) / 2) * width
    for bar in axes.bar(places, values, width, label=label, color="white" if index else style.LIGHT):
        bar.set(edgecolor=look.color, hatch=look.hatch, linewidth=0.6)
