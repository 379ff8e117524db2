"""Test accuracy and training loss of every recipe over the epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.series import Series, empty, gather, missing_note, panels

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure


def draw(figure: Figure, study: Study) -> Canvas:
    """One row of two panels per group; lines are means over seeds, bands their range."""
    series = gather(figure, study, "learning_curve", "epoch")
    grouped = panels(series)
    if not grouped:
        return empty(figure, study, series)
    canvas = Canvas(figsize=(style.WIDE, 0.3 + 2.2 * len(grouped)))
    grid = canvas.subplots(len(grouped), 2, squeeze=False)
    for (left, right), (group, members) in zip(grid, grouped.items(), strict=True):
        for index, one in enumerate(members):
            if one.runs:
                _curve(left, one, "accuracy", 100, index)
                _curve(right, one, "train_loss", 1, index)
        left.set_ylabel(f"{group}\ntest accuracy (%)" if group else "test accuracy (%)")
        right.set_ylabel("training loss")
        style.legend_above(left)
    for axes in grid.flat:
        style.epoch_axis(axes)
    style.note(canvas, missing_note(series))
    return canvas


def _curve(axes: Axes, one: Series, key: str, factor: float, index: int) -> None:
    """Draw the epochs at which every seed was measured."""
    values = one.measured("learning_curve", key) * factor
    epochs = one.measured("learning_curve", "epoch")[0]
    measured = np.isfinite(values).all(axis=0)
    values, epochs = values[:, measured], epochs[: len(measured)][measured]
    style.band(axes, epochs, values, index, one.label)
