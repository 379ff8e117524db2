"""Bars beside each other at named places, with their numbers: for figures that set a few values side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke

from fasa.reporting.figures import style

FULL = 0.84  # of a place's width is for its bars
NUMBER = 5.5  # points: size of the numbers


def cluster(
    axes: Axes, values: Sequence[Sequence[float]], index: int, of: int, label: str, form: str = "{:.1f}"
) -> None:
    """Draw series ``index`` of ``of``: a bar at each place 0, 1, …, its number beyond its end.

    Args:
        values: at each place what the runs measured: the bar is their mean, a whisker their range; a dash without any.
    """
    look, width = style.of(index), FULL / of
    for place, measured in enumerate(values):
        x = place + (index - (of - 1) / 2) * width
        mean = float(np.mean(measured)) if measured else 0.0
        (bar,) = axes.bar(x, mean, width, color="white" if index else style.LIGHT)
        bar.set(edgecolor=look.color, hatch=look.hatch, linewidth=0.6, label="" if place else label)
        low, high = (min(*measured, 0), max(*measured, 0)) if measured else (0, 0)
        if len(measured) > 1:
            axes.plot([x, x], [min(measured), max(measured)], color="black", linewidth=0.8, marker="_", markersize=3)
        number = axes.annotate(
            form.format(mean).replace("-", "−") if measured else "–",
            (x, low if mean < 0 else high),
            (0, -1.5 if mean < 0 else 1.5),
            textcoords="offset points",
            fontsize=NUMBER,
            ha="center",
            va="top" if mean < 0 else "bottom",
        )
        number.set_path_effects([Stroke(linewidth=1.2, foreground="white"), Normal()])


def places(axes: Axes, names: Sequence[str]) -> None:
    """Name the places on the x axis, and leave room for the numbers."""
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.margins(x=0.02, y=0.15)
