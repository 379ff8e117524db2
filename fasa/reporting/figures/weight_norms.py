"""Figure 3: the norm of each class's classifier weight, with and without FASA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.by_class import class_axis, cloud, few
from fasa.reporting.figures.series import Series, empty, gather, missing_note, panels

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure


def draw(figure: Figure, study: Study) -> Canvas:
    """One panel per pair of recipes; every head is divided by its own mean norm, so that heads of all kinds compare."""
    series = gather(figure, study, "weight_norms", per_class=True)
    grouped = panels(series)
    if not grouped:
        return empty(figure, study, series)
    canvas = Canvas(figsize=(style.NARROW if len(grouped) == 1 else style.WIDE, 2.4))
    grid = canvas.subplots(1, len(grouped), sharey=True, squeeze=False)[0]
    for axes, (group, members) in zip(grid, grouped.items(), strict=True):
        _panel(axes, members)
        style.legend_above(axes, group)
    grid[0].set_ylabel("weight norm / mean norm")
    style.note(canvas, missing_note(series))
    return canvas


def normalised(norms: np.ndarray) -> tuple[np.ndarray, float]:
    """Per-class norms over their mean, averaged over seeds, and the mean coefficient of variation of the seeds.

    Args:
        norms: [seeds, C].
    """
    relative = norms / norms.mean(axis=1, keepdims=True)
    return relative.mean(axis=0), float(relative.std(axis=1).mean())


def _panel(axes: Axes, members: list[Series]) -> None:
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
