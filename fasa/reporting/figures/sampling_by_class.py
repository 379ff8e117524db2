"""Figure 4b: the sampling probability of every class over the epochs, one panel per frequency group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.series import empty, gather, missing_note, present

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure


def draw(figure: Figure, study: Study) -> Canvas:
    """One row of panels per series. One seed only: a mean over seeds would smooth away the steps of ±10 %."""
    series = gather(figure, study, "sampling_trajectory", "probabilities")
    shown = present(series)
    if not shown:
        return empty(figure, study, series)
    width = max(len(one.groups) for one in shown)
    canvas = Canvas(figsize=(style.WIDE, 0.5 + 1.9 * len(shown)))
    grid = canvas.subplots(len(shown), width, sharex="row", sharey="row", squeeze=False)
    for line, one in zip(grid, shown, strict=True):
        probabilities = np.asarray(one.runs[0]["measurements"]["sampling_trajectory"]["probabilities"], dtype=float)
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
            axes.set_yscale("log", nonpositive="mask")
            axes.set_title(f"{group.label}\n{len(members)} classes")
            style.epoch_axis(axes)
        for axes in line[len(one.groups) :]:
            axes.set_axis_off()
        line[0].set_ylabel(f"{one.label}\nsampling probability (log)")
        line[0].legend(loc="best")
    seeds = ", ".join(f"{one.label}: seed {one.runs[0]['seed']}" for one in shown)
    style.note(canvas, f"One run each ({seeds}); darker lines are larger classes. {missing_note(series)}".strip())
    return canvas
