"""One look for all figures: print widths, 8 pt, and series that differ in more than colour."""

from __future__ import annotations

import textwrap
from contextlib import AbstractContextManager
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

NARROW, WIDE = 3.3, 6.8  # inches: one and two columns of a conference paper
DOTS_PER_INCH = 200


@dataclass(frozen=True)
class SeriesStyle:
    """How one series is drawn; the colours also differ in lightness, so that they part in grey."""

    color: str
    line: str | tuple
    marker: str
    hatch: str


# Colour-blind safe hues (after Okabe and Ito), put in an order of alternating lightness.
SERIES = (
    SeriesStyle("#1b1b1b", "-", "o", ""),
    SeriesStyle("#d55e00", (0, (5, 1.5)), "s", "////"),
    SeriesStyle("#00558c", (0, (1, 1)), "^", "...."),
    SeriesStyle("#e0a100", (0, (5, 1.5, 1, 1.5)), "D", "xxxx"),
    SeriesStyle("#009e73", (0, (8, 2)), "v", "\\\\\\\\"),
    SeriesStyle("#9a9a9a", (0, (3, 1, 1, 1, 1, 1)), "P", "++++"),
)
LIGHT = "#c9c9c9"

_SETTINGS = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "figure.dpi": DOTS_PER_INCH,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # whole TrueType outlines: journals refuse Type 3
}


def applied() -> AbstractContextManager:
    """The figure settings, for the length of a ``with`` block; whatever the user's matplotlibrc says."""
    return matplotlib.rc_context({**matplotlib.rcParamsDefault, **_SETTINGS, "backend": "agg"})


def of(index: int) -> SeriesStyle:
    """The style of the series number ``index``."""
    return SERIES[index % len(SERIES)]


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels side by side with one y axis, ``height`` inches high: one column wide, or two."""
    canvas = Figure(figsize=(NARROW if count == 1 else WIDE, height))
    return canvas, list(canvas.subplots(1, count, sharey=True, squeeze=False)[0])


def outline(color: str, width: float) -> list[AbstractPathEffect]:
    """A line of ``width`` points around what is drawn, so that it shows on anything."""
    return [Stroke(linewidth=width, foreground=color), Normal()]


def note(figure: Figure, text: str) -> None:
    """Put a small remark below the panels, wrapped to the figure's width; nothing for an empty text."""
    if text:
        figure.supxlabel(_wrap(text, figure.get_figwidth()), fontsize=6, x=0.01, ha="left", color="#444444")


def message(title: str, text: str) -> Figure:
    """A figure that says in words why it is empty."""
    figure = Figure(figsize=(NARROW, 1.6))
    figure.text(0.5, 0.72, title, ha="center", va="center", fontsize=8, fontweight="bold")
    figure.text(0.5, 0.42, _wrap(text, NARROW - 0.3), ha="center", va="center", fontsize=7)
    return figure


def line(axes: Axes, x: np.ndarray, y: np.ndarray, index: int, label: str) -> None:
    """Draw one series: about ten markers, at other places than those of the series before."""
    look = of(index)
    step = max(1, len(x) // 10)
    axes.plot(
        x,
        y,
        color=look.color,
        linestyle=look.line,
        marker=look.marker,
        markevery=(index * step // 3 % step, step),
        markerfacecolor="white",
        linewidth=max(0.9, 2.2 - 0.6 * index),  # what a later one covers shows beside it
        label=label,
    )


def band(axes: Axes, x: np.ndarray, values: np.ndarray, index: int, label: str) -> None:
    """Draw one series of [seeds, points]: the mean over seeds as a line, their range as a band."""
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=of(index).color, alpha=0.15, linewidth=0)
    line(axes, x, values.mean(axis=0), index, label)


def legend_above(axes: Axes, title: str = "", columns: int = 1, **entries: list) -> None:
    """Put the legend over the panel, where it hides no data, under the panel's title."""
    axes.legend(
        **entries,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=columns,
        title=title or None,
        title_fontsize=8,
        columnspacing=1.2,
    )


def log_axis(axes: Axes) -> None:
    """Make the y axis logarithmic, with a handful of ticks that are labelled as plain numbers."""
    axes.set_yscale("log", nonpositive="mask")
    low, high = axes.get_ylim()
    subs = (1.0,) if high > 1000 * low else (1.0, 3.0) if high > 30 * low else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def epoch_axis(axes: Axes) -> None:
    """Label an x axis of epochs, with ticks at whole ones."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _wrap(text: str, width: float) -> str:
    return "\n".join(textwrap.wrap(text, int(width * 21), break_on_hyphens=False))
