"""Figures 4a and 4b, and learning curves: what goes on over the epochs of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.series import FigureData, MeasuredSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PROBABILITIES = "sampling_trajectory.probabilities"


def draw_sampling_of_groups(data: FigureData) -> Canvas:
    """Figure 4a: the mean sampling probability of frequent, common and rare classes.

    One panel per series: the mean over seeds as a line, their range as a band.
    """
    canvas, grid = style.panels(len(data.present), 2.7)
    for axes, one in zip(grid, data.present, strict=True):
        probabilities = one.measured(PROBABILITIES)  # [seeds, epochs, C]
        epochs = np.arange(1, probabilities.shape[1] + 1)
        for index, group in enumerate(one.groups):
            style.band(axes, epochs, probabilities[:, :, group.members].mean(axis=2), index, group.label)
        style.log_axis(axes)
        style.epoch_axis(axes)
        style.legend_above(axes, one.label if len(grid) > 1 else "")
    grid[0].set_ylabel("mean sampling probability (log)")
    data.note(canvas)
    return canvas


def draw_sampling_of_classes(data: FigureData) -> Canvas:
    """Figure 4b: the sampling probability of every class, one panel per frequency group.

    One row of panels per series. One seed only: a mean over seeds would smooth away the steps of ±10 %.
    """
    shown = data.present
    canvas = Canvas(figsize=(style.WIDE, 0.5 + 1.9 * len(shown)))
    width = max(len(one.groups) for one in shown)
    grid = canvas.subplots(len(shown), width, sharex="row", sharey="row", squeeze=False)
    for line, one in zip(grid, shown, strict=True):
        probabilities = one.first(PROBABILITIES)
        epochs = np.arange(1, len(probabilities) + 1)
        for axes, group in zip(line, one.groups, strict=False):
            members = group.members
            # Larger classes are darker; none as light as paper, none as dark as the mean.
            shades = colormaps["Greys"](np.linspace(0.7, 0.35, len(members)))
            for member, shade in zip(members, shades, strict=True):
                axes.plot(epochs, probabilities[:, member], color=shade, linewidth=0.7)
            mean = probabilities[:, members].mean(axis=1)
            axes.plot(epochs, mean, color="white", linewidth=4)
            axes.plot(epochs, mean, color="black", linewidth=1.8, label="group mean")
            style.log_axis(axes)
            axes.set_title(f"{group.label}\n{len(members)} classes")
            style.epoch_axis(axes)
        for axes in line[len(one.groups) :]:
            axes.set_axis_off()
        line[0].set_ylabel(f"{one.label}\nsampling probability (log)")
        line[0].legend(loc="best")
    data.note(canvas, f"One run each ({data.first_seeds}); darker lines are larger classes.")
    return canvas


def draw_learning_curves(data: FigureData) -> Canvas:
    """Test accuracy and training loss of every recipe.

    One row of two panels per group; lines are means over seeds, bands their range. Later series are thinner, so that
    one that they cover shows beside them.
    """
    canvas = Canvas(figsize=(style.WIDE, 0.3 + 2.2 * len(data.panels)))
    grid = canvas.subplots(len(data.panels), 2, squeeze=False)
    for (left, right), (group, members) in zip(grid, data.panels.items(), strict=True):
        for index, one in enumerate(members):
            if one.runs:
                _curve(left, one, "accuracy", 100, index)
                _curve(right, one, "train_loss", 1, index)
        left.set_ylabel(f"{group}\ntest accuracy (%)" if group else "test accuracy (%)")
        right.set_ylabel("training loss (log)")
        style.log_axis(right)
        style.legend_above(left, columns=2)
    for axes in grid.flat:
        style.epoch_axis(axes)
    data.note(canvas)
    return canvas


def _curve(axes: Axes, one: MeasuredSeries, key: str, factor: float, index: int) -> None:
    """Draw the epochs at which every seed was measured."""
    values = one.measured(f"learning_curve.{key}") * factor
    epochs = one.measured("learning_curve.epoch")[0]
    there = np.asarray(np.isfinite(values).all(axis=0))
    style.band(axes, epochs[: len(there)][there], values[:, there], index, one.label)
