"""Figure 1a: training images per class, and on top the virtual features that FASA adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.series import Series, empty, gather, missing_note, present

if TYPE_CHECKING:
    from fasa.experiments import Study
    from fasa.experiments.tables import Figure

REAL, VIRTUAL = style.LIGHT, style.SERIES[1]


def draw(figure: Figure, study: Study) -> Canvas:
    """One panel per series that drew virtual features, the mean over its seeds."""
    series = gather(figure, study, "virtual_features")
    shown = present(series)
    if not shown:
        return empty(figure, study, series)
    canvas = Canvas(figsize=(style.NARROW if len(shown) == 1 else style.WIDE, 2.4))
    grid = canvas.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, one in zip(grid, shown, strict=True):
        _panel(axes, one, one.label if len(shown) > 1 else "")
    grid[0].set_ylabel("number (log)")
    style.note(canvas, missing_note(series))
    return canvas


def _panel(axes: Axes, one: Series, title: str) -> None:
    """Stacked bars; the logarithmic axis starts at 0.5, so that a class of one image still shows."""
    real = one.counts[one.order]
    both = real + one.measured("virtual_features").mean(axis=0)[one.order]
    width = 0.8 if len(real) <= style.LONGEST_NAMED else 1.0
    places = np.arange(len(real))
    axes.bar(places, both, width, color="white", edgecolor=VIRTUAL.color, hatch=VIRTUAL.hatch, linewidth=0, zorder=1)
    axes.bar(places, real, width, color=REAL, linewidth=0, zorder=2)
    axes.step([-0.5, *(places + 0.5)], [both[0], *both], color=VIRTUAL.color, linewidth=0.9, where="pre", zorder=3)
    axes.step([-0.5, *(places + 0.5)], [real[0], *real], color="black", linewidth=0.9, where="pre", zorder=3)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    style.class_axis(axes, one.names)
    handles = [axes.containers[1].patches[0], axes.containers[0].patches[0]]
    labels = ["training images", "+ virtual features, expected in all of training"]
    style.legend_above(axes, title, handles=handles, labels=labels)
