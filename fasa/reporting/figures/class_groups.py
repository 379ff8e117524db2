"""Figure 5: a t-SNE map of the class features, marked by the groups that FASA adapts together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.labels import place_labels
from fasa.reporting.figures.series import Series, empty, gather, missing_note, present

if TYPE_CHECKING:
    from fasa.experiments import Study
    from fasa.experiments.tables import Figure

FEWEST = 4  # t-SNE has nothing to say about fewer points
NAME_ALL = 30  # up to so many classes all get their names; beyond, only those that share a group
MOST_NAMES = 60
MARKERS = "osD^vPXphH8<>d"


def draw(figure: Figure, study: Study) -> Canvas:
    """One panel per series, of its first run: groups of different runs have nothing to do with each other."""
    series = gather(figure, study, "class_features")
    shown = [one for one in present(series) if len(one.counts) >= FEWEST]
    if not present(series):
        return empty(figure, study, series)
    if not shown:
        return style.message(figure.title, f"Fewer than {FEWEST} classes: there is no map to draw.")
    canvas = Canvas(figsize=(style.WIDE, 4.8 * len(shown)))
    grid = canvas.subplots(len(shown), 1, squeeze=False)[:, 0]
    maps = []
    for axes, one in zip(grid, shown, strict=True):
        points = embed(np.asarray(one.runs[0]["measurements"]["class_features"], dtype=float))
        groups = last_groups(one)
        maps.append((axes, one, points, groups, shared_groups(groups)))
        axes.set(xticks=[], yticks=[], title=f"{one.label}, seed {one.runs[0]['seed']}")
        axes.spines[:].set(visible=True, color=style.LIGHT)
        axes.margins(0.08)
        _points(*maps[-1])
    text = "Equal number and shape: classes that FASA adapts together at the last epoch; dots: classes on their own."
    if any(len(one.names) > NAME_ALL for one in shown):
        text += " Named: the members of the largest groups."
    style.note(canvas, f"{text} {missing_note(series)}".strip())
    canvas.draw_without_rendering()  # settles the layout: names are placed in pixels
    for one_map in maps:
        _names(*one_map)
    return canvas


def embed(features: np.ndarray) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton, 2008) of [C, d] features to [C, 2], the same on every call."""
    from sklearn.manifold import TSNE

    perplexity = min(30, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init="random", random_state=0, n_jobs=1).fit_transform(features)


def last_groups(one: Series) -> np.ndarray:
    """Each class's group at the last epoch, [C]; −1 for none, and for every class of a run without FASA."""
    trajectory = one.runs[0]["measurements"].get("sampling_trajectory")
    return np.asarray(trajectory["groups"][-1]) if trajectory else np.full(len(one.counts), -1)


def shared_groups(groups: np.ndarray) -> list[int]:
    """The groups of two classes or more, the largest first."""
    numbers, sizes = np.unique(groups[groups >= 0], return_counts=True)
    return [int(numbers[index]) for index in np.argsort(-sizes, kind="stable") if sizes[index] > 1]


def _points(axes: Axes, one: Series, points: np.ndarray, groups: np.ndarray, shared: list[int]) -> None:
    """Shared groups as shapes around the group's number, classes on their own as dots: readable without colour."""
    alone = ~np.isin(groups, shared)
    axes.scatter(*points[alone].T, s=14, color="#8a8a8a", zorder=2)
    for index, group in enumerate(shared):
        look = {"marker": MARKERS[index % len(MARKERS)], "edgecolors": style.of(index).color}
        for x, y in points[groups == group]:  # one by one: of two that overlap, the upper hides the lower's number
            axes.scatter(x, y, s=75, facecolors="white", linewidths=1.1, zorder=3, **look)
            axes.text(x, y, str(index + 1), fontsize=5.5, ha="center", va="center", zorder=3)


def _names(axes: Axes, one: Series, points: np.ndarray, groups: np.ndarray, shared: list[int]) -> None:
    names = [str(name) for name in one.runs[0]["class_names"]]
    chosen = np.arange(len(names))
    if len(names) > NAME_ALL:  # the members of the largest groups first, until the map is full
        chosen = np.concatenate([np.flatnonzero(groups == group) for group in shared] or [chosen])[:MOST_NAMES]
    place_labels(axes, points, [(int(index), names[index]) for index in chosen], force=len(names) <= NAME_ALL)
