"""Put names beside points so that they hide neither points nor each other."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

FONT = 5.5
RADIUS = 6  # pixels-per-72dpi kept free around every point, the size of its marker
# Where a name may stand relative to its point: direction, and how its text is aligned there. Near places first.
PLACES = tuple(
    (x * distance, y * distance, horizontal, vertical)
    for distance in (6, 13)
    for x, y, horizontal, vertical in (
        (1, 0, "left", "center"),
        (-1, 0, "right", "center"),
        (0, 1, "center", "bottom"),
        (0, -1, "center", "top"),
        (0.8, 0.8, "left", "bottom"),
        (-0.8, 0.8, "right", "bottom"),
        (0.8, -0.8, "left", "top"),
        (-0.8, -0.8, "right", "top"),
    )
)


def place_labels(axes: Axes, points: np.ndarray, labels: list[tuple[int, str]], force: bool) -> int:
    """Write each (index of its point, name) at the first place that is free, in the order given.

    Args:
        axes: laid out already, as places are compared in pixels.
        points: all points, [n, 2]: none is covered.
        force: write a name that finds no free place at its least crowded one; otherwise leave it out.

    Returns:
        How many names were written.
    """
    pixels = axes.transData.transform(points)
    reach = RADIUS * axes.figure.dpi / 72 / 2
    taken = [Bbox.from_extents(x - reach, y - reach, x + reach, y + reach) for x, y in pixels]
    frame = axes.get_window_extent()
    written = 0
    for index, name in labels:
        texts = [_write(axes, points[index], name, place) for place in PLACES]
        boxes = [text.get_window_extent() for text in texts]
        crowding = [_crowding(box, taken, frame) for box in boxes]
        best = int(np.argmin(crowding))  # the first of equals, hence the nearest
        for number, text in enumerate(texts):
            if number != best or (crowding[best] > 0 and not force):
                text.remove()
            else:
                taken.append(boxes[best])
                written += 1
    return written


def _write(axes: Axes, point: np.ndarray, name: str, place: tuple[float, float, str, str]):
    x, y, horizontal, vertical = place
    return axes.annotate(
        name, point, (x, y), textcoords="offset points", fontsize=FONT, ha=horizontal, va=vertical, zorder=5
    )


def _crowding(box: Bbox, taken: list[Bbox], frame: Bbox) -> float:
    """Pixels² of ``box`` that lie on what is there already or outside the frame."""
    overlaps = (Bbox.intersection(box, other) for other in taken)
    inside = Bbox.intersection(box, frame)
    outside = _area(box) - (_area(inside) if inside is not None else 0)
    return sum(_area(overlap) for overlap in overlaps if overlap is not None) + max(0.0, round(outside, 6))


def _area(box: Bbox) -> float:
    return abs(box.width * box.height)
