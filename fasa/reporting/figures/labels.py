"""Put names beside points so that they hide neither points nor each other."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from fasa.reporting.figures import style

FONT = 5.5
RADIUS = 3.5  # points kept free around every point, about its marker
# Where a name may stand: the offset from its point in points, and the share of its own width and height by which it
# is moved back (0.5 = centred). Near places first.
PLACES = np.array(
    [
        (x * distance, y * distance, back, down)
        for distance in (6, 13)
        for x, y, back, down in (
            (1, 0, 0, 0.5),
            (-1, 0, 1, 0.5),
            (0, 1, 0.5, 0),
            (0, -1, 0.5, 1),
            (0.8, 0.8, 0, 0),
            (-0.8, 0.8, 1, 0),
            (0.8, -0.8, 0, 1),
            (-0.8, -0.8, 1, 1),
        )
    ]
)


def place_labels(axes: Axes, points: np.ndarray, labels: list[tuple[int, str]], kept: np.ndarray, force: bool) -> int:
    """Write each (index of its point, name) at the first place that is free, in the order given.

    Args:
        axes: laid out already, as places are compared in pixels.
        points: all points, [n, 2].
        kept: which points no name covers, bool [n].
        force: write a name that finds no free place at its least crowded one; otherwise leave it out.

    Returns:
        How many names were written.
    """
    scale = axes.figure.dpi / 72
    pixels = axes.transData.transform(points)
    taken = np.hstack([pixels - RADIUS * scale, pixels + RADIUS * scale])[kept]
    frame = np.array(axes.get_window_extent().extents)
    written = 0
    for index, name in labels:
        text = axes.annotate(
            name, points[index], (0, 0), textcoords="offset points", fontsize=FONT, ha="left", va="bottom", zorder=5
        )
        text.set_path_effects(style.outline("white", 1.2))
        size = np.array(text.get_window_extent().size)
        offsets = PLACES[:, :2] * scale - PLACES[:, 2:] * size
        corners = pixels[index] + offsets
        boxes = np.hstack([corners, corners + size])
        crowding = overlaps(boxes, taken).sum(axis=1) + size.prod() - overlaps(boxes, frame[None])[:, 0]
        best = int(np.argmin(crowding.round(3)))  # the first of equals, hence the nearest
        if crowding[best] > 0.001 and not force:
            text.remove()
            continue
        text.set_position(tuple(offsets[best] / scale))
        taken = np.vstack([taken, boxes[best]])
        written += 1
    return written


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Shared area of each of [n, 4] boxes (x0, y0, x1, y1) with each of [m, 4] others, [n, m]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.clip(high - low, 0, None).prod(axis=2)
