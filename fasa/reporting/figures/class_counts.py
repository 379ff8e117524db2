"""Figure 1a: training images or instances per class, and on top the virtual features that FASA adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.by_class import class_axis
from fasa.reporting.figures.series import Series, empty, gather, missing_note, present
from fasa.reporting.frequency import counted

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure

REAL, VIRTUAL = style.LIGHT, style.SERIES[1]
LEAST = 0.5  # where the logarithmic axis starts, so that a class of one image still shows


def draw(figure: Figure, study: Study) -> Canvas:
    """One panel per series that drew virtual features, the mean over its seeds."""
    series = gather(figure, study, "virtual_features", per_class=True)
    shown = present(series)
    if not shown:
        return empty(figure, study, series)
    canvas = Canvas(figsize=(style.NARROW if len(shown) == 1 else style.WIDE, 2.6))
    grid = canvas.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, one in zip(grid, shown, strict=True):
        _panel(axes, one, one.label if len(shown) > 1 else "")
    grid[0].set_ylabel("number (log)")
    style.note(canvas, missing_note(series))
    return canvas


def _panel(axes: Axes, one: Series, title: str) -> None:
    """Steps, the real examples before the virtual ones."""
    real = one.counts[one.order]
    both = real + one.per_class("virtual_features").mean(axis=0)
    edges = np.arange(len(real) + 1) - 0.5
    steps = {"baseline": LEAST, "fill": True, "linewidth": 0.9}
    above = axes.stairs(both, edges, facecolor="white", edgecolor=VIRTUAL.color, hatch=VIRTUAL.hatch, **steps)
    below = axes.stairs(real, edges, facecolor=REAL, edgecolor="black", **steps)
    axes.set_yscale("log")
    axes.set_ylim(bottom=LEAST)
    class_axis(axes, one)
    labels = [f"training {counted(one.runs[0])}", "+ virtual features, expected in all of training"]
    style.legend_above(axes, title, handles=[below, above], labels=labels)
