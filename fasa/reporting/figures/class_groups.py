"""Figure 5: a t-SNE map of the class features, marked by the groups that FASA adapts together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from fasa.reporting.figures import style
from fasa.reporting.figures.labels import place_labels
from fasa.reporting.figures.series import FigureData, MeasuredSeries, NothingToDraw

FEWEST = 4  # t-SNE has nothing to say about fewer points
NAME_ALL = 30  # up to so many classes all get their names; beyond, only those that share a group
MOST_NAMES = 60
MOST_MARKED = 14  # groups with a shape and a number, of a map with so many classes
MARKERS = "osD^vPXphH8<>d"


@dataclass(frozen=True)
class Map:
    """The classes that one run has seen: their places [n, 2], names and groups [n], and the groups that are marked.

    ``frequency`` has each class's group by size [n], and ``sizes`` the names of those groups.
    """

    axes: Axes
    points: np.ndarray
    names: list[str]
    groups: np.ndarray
    marked: list[int]
    frequency: np.ndarray
    sizes: list[str]

    @property
    def by_frequency(self) -> bool:
        """Whether classes are marked by size, for fewer than two groups would show nothing."""
        return len(self.marked) < 2


def draw(data: FigureData) -> Canvas:
    """One panel per series, of its first run: groups of different runs have nothing to do with each other."""
    shown = [one for one in data.present if len(seen_classes(one)) >= FEWEST]
    if not shown:
        raise NothingToDraw(f"Fewer than {FEWEST} classes: there is no map to draw.")
    canvas = Canvas(figsize=(style.WIDE, 4.8 * len(shown)))
    grid = canvas.subplots(len(shown), 1, squeeze=False)[:, 0]
    maps = []
    for axes, one in zip(grid, shown, strict=True):
        axes.set(xticks=[], yticks=[], title=f"{one.label}, seed {one.runs[0]['seed']}")
        axes.spines[:].set(visible=True, color=style.LIGHT)
        axes.margins(0.08)
        maps.append(place_classes(axes, one))
        _points(maps[-1])
    data.note(canvas, " ".join(dict.fromkeys(map(_in_words, maps))))
    canvas.draw_without_rendering()  # settles the layout: names are placed in pixels
    for one_map in maps:
        _names(one_map)
    return canvas


def seen_classes(one: MeasuredSeries) -> np.ndarray:
    """Indices of the classes that have a feature: of a detector, those that it met in training."""
    features = one.runs[0]["measurements"]["class_features"]
    return np.array([index for index, feature in enumerate(features) if feature is not None], dtype=int)


def place_classes(axes: Axes, one: MeasuredSeries) -> Map:
    """The map of the series' first run, for ``axes``; nothing is drawn yet."""
    run, seen = one.runs[0], seen_classes(one)
    points = embed(np.array([run["measurements"]["class_features"][index] for index in seen], dtype=float))
    names = [str(run["class_names"][index]).replace("_", " ") for index in seen]
    groups = last_groups(one)[seen]
    shared = shared_groups(groups)
    frequency = np.zeros(len(one.counts), int)
    for index, group in enumerate(one.groups):
        frequency[group.members] = index
    marked = shared if len(names) <= NAME_ALL else shared[:MOST_MARKED]
    return Map(axes, points, names, groups, marked, frequency[seen], [group.label for group in one.groups])


def embed(features: np.ndarray) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton, 2008) of [C, d] features to [C, 2], the same on every call."""
    from sklearn.manifold import TSNE

    perplexity = min(30, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init="random", random_state=0, n_jobs=1).fit_transform(features)


def last_groups(one: MeasuredSeries) -> np.ndarray:
    """Each class's group at the last epoch, [C]; −1 for none, and for every class of a run without FASA."""
    trajectory = one.runs[0]["measurements"].get("sampling_trajectory")
    return np.asarray(trajectory["groups"][-1]) if trajectory else np.full(len(one.counts), -1)


def shared_groups(groups: np.ndarray) -> list[int]:
    """The groups of two classes or more, the largest first."""
    numbers, sizes = np.unique(groups[groups >= 0], return_counts=True)
    return [int(numbers[index]) for index in np.argsort(-sizes, kind="stable") if sizes[index] > 1]


def in_turn(members: list[np.ndarray]) -> np.ndarray:
    """The first of every group, then the second of every group that has one, …: no large group takes all names."""
    turns = zip_longest(*members)
    return np.array([index for turn in turns for index in turn if index is not None], dtype=int)


def _in_words(one: Map) -> str:
    """What the marks of a map say."""
    if one.by_frequency:
        together = int(np.isin(one.groups, one.marked).sum())
        found = f"FASA adapts {together} of the {len(one.names)} classes together, in one group" if together else ""
        return f"{found or 'FASA adapts no two classes together'} at the last epoch: shapes show the classes' sizes."
    text = "Equal number and shape: classes that FASA adapts together at the last epoch; dots: classes on their own"
    if len(one.names) <= NAME_ALL:
        return f"{text}."
    return f"{text}, or not in the {MOST_MARKED} largest groups, whose members are named where there is room."


def _points(one: Map) -> None:
    """Marked groups as shapes around the group's number, other classes as dots: readable without colour."""
    if one.by_frequency:
        for index, label in enumerate(one.sizes):
            look, (x, y) = style.of(index), one.points[one.frequency == index].T
            one.axes.scatter(
                x, y, s=26, marker=look.marker, facecolors="white", edgecolors=look.color, label=label, zorder=3
            )
        one.axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(one.sizes))
        return
    alone = ~np.isin(one.groups, one.marked)
    size = 14 if len(one.points) <= NAME_ALL else 5
    x, y = one.points[alone].T
    one.axes.scatter(x, y, s=size, color="#8a8a8a", linewidths=0, zorder=2)
    for index, group in enumerate(one.marked):
        marker, color = MARKERS[index % len(MARKERS)], style.of(index).color
        for x, y in one.points[one.groups == group]:  # one by one: the upper of two hides the lower's number
            one.axes.scatter(x, y, s=75, marker=marker, facecolors="white", edgecolors=color, linewidths=1.1, zorder=3)
            one.axes.text(x, y, str(index + 1), fontsize=5.5, ha="center", va="center", zorder=3)


def _names(one: Map) -> None:
    """All names, or those of the marked groups' members in turn: of many classes a name may cover the dots."""
    chosen: np.ndarray = np.arange(len(one.names))
    kept: np.ndarray = np.ones(len(one.names), bool)
    if len(one.names) > NAME_ALL and not one.by_frequency:
        chosen = in_turn([np.flatnonzero(one.groups == group) for group in one.marked])
        kept = np.isin(one.groups, one.marked)
    labels = [(int(index), one.names[index]) for index in chosen[:MOST_NAMES]]
    place_labels(one.axes, one.points, labels, kept, force=len(one.names) <= NAME_ALL)
