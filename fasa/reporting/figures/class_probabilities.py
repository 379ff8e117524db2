"""Figure 1b: the mean predicted probability of the true class, without and with FASA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.series import Series, empty, gather, missing_note, panels

if TYPE_CHECKING:
    from fasa.experiments import Study
    from fasa.experiments.tables import Figure


def draw(figure: Figure, study: Study) -> Canvas:
    """One panel per group: bars for a few named classes, points with a running mean for many; means over seeds."""
    series = gather(figure, study, "class_probabilities")
    grouped = panels(series)
    if not grouped:
        return empty(figure, study, series)
    width = style.NARROW if len(grouped) == 1 else style.WIDE
    canvas = Canvas(figsize=(width, 2.4))
    grid = canvas.subplots(1, len(grouped), sharey=True, squeeze=False)[0]
    for axes, (group, members) in zip(grid, grouped.items(), strict=True):
        _panel(axes, members)
        axes.set_ylim(0, 1)
        style.legend_above(axes, group if len(grouped) > 1 else "", columns=2)
    grid[0].set_ylabel("mean probability of the true class")
    style.note(canvas, missing_note(series))
    return canvas


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over a centred window, which shrinks at the ends; same length as ``values``."""
    kernel = np.ones(window)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def _panel(axes: Axes, members: list[Series]) -> None:
    for index, one in enumerate(members):
        if not one.runs:
            continue
        look = style.of(index)
        values = one.measured("class_probabilities").mean(axis=0)[one.order]
        places = np.arange(len(values))
        if len(values) <= style.LONGEST_NAMED:
            width = 0.8 / len(members)
            shift = (index - (len(members) - 1) / 2) * width
            bars = axes.bar(places + shift, values, width, label=one.label, color="white" if index else style.LIGHT)
            for bar in bars:
                bar.set(edgecolor=look.color, hatch=look.hatch, linewidth=0.6)
        else:
            points = axes.scatter(places, values, 7, marker=look.marker, facecolors="none", edgecolors=look.color)
            points.set(linewidth=0.5, alpha=0.6)
            smooth = running_mean(values, 2 * (len(values) // 20) + 1)  # a tenth of the classes, and odd
            axes.plot(places, smooth, color=look.color, linestyle=look.line, label=one.label, linewidth=1.6)
        style.class_axis(axes, one.names)
