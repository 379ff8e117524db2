"""One value for each class along an axis: the classes named if they are few, marked off by frequency if many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from fasa.reporting.figures import style
from fasa.reporting.figures.series import Series

LONGEST_NAMED = 20  # up to so many classes are drawn one by one, with their names


def few(one: Series) -> bool:
    """Whether the classes are few enough to be drawn one by one."""
    return len(one.counts) <= LONGEST_NAMED


def class_axis(axes: Axes, one: Series, remarks: Sequence[str] = ()) -> None:
    """Label an x axis with one place per class, in the series' order.

    Args:
        remarks: one for each group of classes, put under its name where classes are many.
    """
    if few(one):
        names = [shortened(name) for name in one.names]
        long = max(map(len, names)) > 3
        axes.set_xticks(range(len(names)), names, rotation=40 if long else 0, ha="right" if long else "center")
        axes.set_xlabel("" if long else "classes, largest first")
        return
    sizes = [len(group.members) for group in one.groups]
    ends = np.cumsum(sizes) - 0.5
    for end in ends[:-1]:
        axes.axvline(end, color=style.LIGHT, linewidth=0.8, zorder=0.5)
    lines = [[group.name, group.limits] for group in one.groups]
    for words, remark in zip(lines, remarks, strict=False):
        words.append(remark)
    axes.set_xticks(ends - np.array(sizes) / 2, ["\n".join(filter(None, words)) for words in lines], fontsize=6.5)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, ends[-1])
    axes.set_xlabel(f"{len(one.names):,} classes, largest first")


def shortened(name: str, longest: int = 17) -> str:
    """A class's name without underscores and, if it is long, without its middle: many names differ at their end."""
    name = name.replace("_", " ")
    half = longest // 2
    return name if len(name) <= longest else f"{name[:half].rstrip()}…{name[-half:].lstrip()}"


def cloud(axes: Axes, values: np.ndarray, index: int, label: str) -> None:
    """Draw one series of many classes [C]: a point each, and their running mean as a line."""
    look, places = style.of(index), np.arange(len(values))
    points = axes.scatter(places, values, 6, marker=look.marker, facecolors="none", edgecolors=look.color)
    points.set(linewidth=0.4, alpha=min(0.6, 150 / len(values)), zorder=1.5)
    smooth = running_mean(values, 2 * (len(values) // 20) + 1)  # a tenth of the classes, and odd
    axes.plot(places, smooth, color="white", linewidth=3)
    axes.plot(places, smooth, color=look.color, linestyle=look.line, label=label, linewidth=1.6)


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over a centred window, which shrinks at the ends, of the values that are not NaN; same length."""
    kernel, there = np.ones(window), np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.convolve(np.where(there, values, 0), kernel, "same") / np.round(np.convolve(there, kernel, "same"))


def group_means(one: Series, values: np.ndarray) -> list[float]:
    """The mean of each frequency group of ``values`` [C] in the series' order, NaN left out."""
    parts = np.split(values, np.cumsum([len(group.members) for group in one.groups])[:-1])
    return [float(np.nanmean(part)) if np.isfinite(part).any() else float("nan") for part in parts]
