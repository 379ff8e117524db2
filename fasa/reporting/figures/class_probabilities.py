"""Figure 1b: the mean predicted probability of the true class, without and with FASA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.by_class import class_axis, cloud, few, group_means
from fasa.reporting.figures.series import Series, empty, finite_mean, gather, missing_note, panels, present

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure


def draw(figure: Figure, study: Study) -> Canvas:
    """One panel per group: bars for a few named classes, points with a running mean for many; means over seeds."""
    series = gather(figure, study, "class_probabilities", per_class=True)
    grouped = panels(series)
    if not grouped:
        return empty(figure, study, series)
    width = style.NARROW if len(grouped) == 1 else style.WIDE
    canvas = Canvas(figsize=(width, 2.6))
    grid = canvas.subplots(1, len(grouped), sharey=True, squeeze=False)[0]
    for axes, (group, members) in zip(grid, grouped.items(), strict=True):
        _panel(axes, members)
        axes.set_ylim(0, 1)
        style.legend_above(axes, group if len(grouped) > 1 else "", columns=2)
    grid[0].set_ylabel("mean probability of the true class")
    text = "" if few(present(series)[0]) else "Lines: running means. Under each group: its mean."
    style.note(canvas, f"{text} {missing_note(series)}".strip())
    return canvas


def _panel(axes: Axes, members: list[Series]) -> None:
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
    remarks = [" → ".join(f"{mean:.2f}" for mean in group) for group in zip(*means, strict=True)]
    class_axis(axes, shown, remarks)


def _bars(axes: Axes, values: np.ndarray, index: int, series: int, label: str) -> None:
    look, width = style.of(index), 0.8 / series
    shift = (index - (series - 1) / 2) * width
    places = np.arange(len(values)) + shift
    bars = axes.bar(places, values, width, label=label, color="white" if index else style.LIGHT)
    for bar in bars:
        bar.set(edgecolor=look.color, hatch=look.hatch, linewidth=0.6)
