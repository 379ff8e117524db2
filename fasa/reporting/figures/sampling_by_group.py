"""Figure 4a: the mean sampling probability of frequent, common and rare classes over the epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.series import Series, empty, gather, missing_note, present

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure


def draw(figure: Figure, study: Study) -> Canvas:
    """One panel per series: the mean over seeds as a line, their range as a band."""
    series = gather(figure, study, "sampling_trajectory", "probabilities")
    shown = present(series)
    if not shown:
        return empty(figure, study, series)
    canvas = Canvas(figsize=(style.NARROW if len(shown) == 1 else style.WIDE, 2.7))
    grid = canvas.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, one in zip(grid, shown, strict=True):
        _panel(axes, one)
        style.legend_above(axes, one.label if len(shown) > 1 else "")
    grid[0].set_ylabel("mean sampling probability (log)")
    style.note(canvas, missing_note(series))
    return canvas


def _panel(axes: Axes, one: Series) -> None:
    probabilities = one.measured("sampling_trajectory", "probabilities")  # [seeds, epochs, C]
    epochs = np.arange(1, probabilities.shape[1] + 1)
    for index, group in enumerate(one.groups):
        style.band(axes, epochs, probabilities[:, :, group.members].mean(axis=2), index, group.label)
    axes.set_yscale("log", nonpositive="mask")
    style.epoch_axis(axes)
