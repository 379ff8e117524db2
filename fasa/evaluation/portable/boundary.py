"""Boundaries of masks, from runs to runs: see ``fasa.evaluation.geometry.boundary``."""

from __future__ import annotations

import numpy as np

from fasa.evaluation.portable.compiled import compiled
from fasa.evaluation.portable.rle import decode, intersection


@compiled
def _thin(tight, distance):
    """Whether the whole mask is its boundary: its tight box is too small for a pixel far enough inside."""
    return min(tight[2], tight[3]) <= 2 * distance


@compiled
def truth_boundaries(rows, image, crowd, tight, runs, run_start, heights, distance):
    found, start = np.empty(4096, np.uint32), np.zeros(len(rows) + 1, np.int64)
    for i in range(len(rows)):
        g, at = rows[i], start[i]
        if not crowd[g]:
            of_truth = runs[run_start[g] : run_start[g + 1]]
            found, at = boundary(of_truth, tight[g], heights[image[g]], distance[image[g]], found, at)
        start[i + 1] = at
    return found[: start[-1]], start


@compiled
def smaller_iou(
    detection, rows, place, image, tight, counts, counts_start, crowd, truth_tight, truth_runs, truth_start, heights,
    distance, iou,
):  # fmt: skip
    decoded, own = np.empty(1024, np.uint32), np.empty(1024, np.uint32)
    last, length, area = -1, np.int64(0), np.int64(0)
    for p in range(len(detection)):
        d, g = detection[p], rows[place[p]]
        reach = distance[image[d]]
        if crowd[g] or (_thin(tight[d], reach) and _thin(truth_tight[g], reach)):
            continue
        if d != last:
            longest = counts_start[d + 1] - counts_start[d]
            if longest > len(decoded):
                decoded = np.empty(2 * longest, np.uint32)
            runs = decode(counts, counts_start[d], counts_start[d + 1], decoded)
            own, length = boundary(decoded[:runs], tight[d], heights[image[d]], reach, own, 0)
            last, area = d, _area(own[:length])
        of_truth = truth_runs[truth_start[place[p]] : truth_start[place[p] + 1]]
        shared = intersection(own, length, of_truth, len(of_truth))
        iou[p] = min(iou[p], float(shared) / float(area + _area(of_truth) - shared))


@compiled
def _area(runs):
    area = np.int64(0)
    for i in range(1, len(runs), 2):
        area += runs[i]
    return area


@compiled
def boundary(runs, tight, height, distance, found, at):
    """Write a mask's boundary to ``found`` from ``at`` on, as runs of which some are 0, the last background left out.

    Returns ``found``, or a longer one with the same content, and where the next may begin.
    """
    if _thin(tight, distance):
        found = _with_room(found, at + len(runs))
        found[at : at + len(runs)] = runs
        return found, at + len(runs)
    left, above, across, down = np.int64(tight[0]), np.int64(tight[1]), np.int64(tight[2]), np.int64(tight[3])
    first, top, bottom = _intervals(runs, left, above, across, height)
    window, room = 2 * distance + 1, down // 2 + 1  # rows that so many columns share are at most ``room`` intervals
    # Columns come in blocks of ``window``: what each shares with the rest of its block, and from the next block's first
    # column up to here. Every window is the end of one block and the beginning of the next.
    of_rest = np.empty((window + 1, room), np.int64), np.empty((window + 1, room), np.int64)
    rest = np.empty(window + 1, np.int64)  # how many intervals
    low, high = np.empty(room, np.int64), np.empty(room, np.int64)
    next_low, next_high = np.empty(room, np.int64), np.empty(room, np.int64)
    inner_low, inner_high = np.empty(room, np.int64), np.empty(room, np.int64)
    n = 0
    before = np.int64(0)  # where the run before ended, in the image's pixels, column by column
    for x in range(across):
        inner = 0
        if distance <= x < across - distance:
            begin, end = x - distance, x + distance
            place = begin % window
            if place == 0:
                of_rest[0][window, 0], of_rest[1][window, 0], rest[window] = 0, down, 1
                for i in range(window - 1, -1, -1):
                    rest[i] = _shared(
                        of_rest[0][i + 1], of_rest[1][i + 1], rest[i + 1], top, bottom, first[begin + i],
                        first[begin + i + 1], distance, of_rest[0][i], of_rest[1][i],
                    )  # fmt: skip
                low[0], high[0], n = 0, down, 1
            else:
                n = _shared(low, high, n, top, bottom, first[end], first[end + 1], distance, next_low, next_high)
                low, high, next_low, next_high = next_low, next_high, low, high
            inner = _shared(
                low, high, n, of_rest[0][place], of_rest[1][place], 0, rest[place], 0, inner_low, inner_high
            )
        found = _with_room(found, at + 2 * (first[x + 1] - first[x] + inner))
        column, e = (left + x) * height + above, 0
        for i in range(first[x], first[x + 1]):
            found[at], before = column + top[i] - before, column + top[i]
            at += 1
            while e < inner and inner_low[e] < bottom[i]:
                found[at], found[at + 1] = column + inner_low[e] - before, inner_high[e] - inner_low[e]
                before = column + inner_high[e]
                e, at = e + 1, at + 2
            found[at], before = column + bottom[i] - before, column + bottom[i]
            at += 1
    return found, at


@compiled
def _shared(low, high, n, other_low, other_high, begin, end, margin, shared_low, shared_high):
    """Rows that n intervals share with the intervals ``begin`` to ``end`` of others, shrunk by ``margin`` at both ends.

    Writes them as intervals and says how many there are.
    """
    i, j, k = 0, begin, 0
    while i < n and j < end:
        top, bottom = max(low[i], other_low[j] + margin), min(high[i], other_high[j] - margin)
        if top < bottom:
            shared_low[k], shared_high[k] = top, bottom
            k += 1
        if high[i] < other_high[j] - margin:
            i += 1
        else:
            j += 1
    return k


@compiled
def _intervals(runs, left, above, across, height):
    """A mask's runs cut into columns: where each column's begin, int64 (across + 1,), and their rows in the tight box.

    An interval is the rows from ``top`` to ``bottom``, the latter left out.
    """
    most = len(runs) // 2 + across + 1
    first, top, bottom = np.zeros(across + 1, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    n, at, x = 0, np.int64(0), np.int64(0)
    start_of_column = left * height
    for j in range(len(runs)):
        end = at + runs[j]
        while j & 1 and at < end:
            while at >= start_of_column + height:
                x += 1
                start_of_column += height
                first[x] = n
            stop = min(end, start_of_column + height)
            row = at - start_of_column - above
            if n == first[x] or bottom[n - 1] < row:
                top[n] = row
                n += 1
            bottom[n - 1] = stop - start_of_column - above  # or the interval goes on, after a run of 0
            at = stop
        at = end
    first[x + 1 :] = n
    return first, top, bottom


@compiled
def _with_room(array, length):
    if length <= len(array):
        return array
    larger = np.empty(2 * length, array.dtype)
    larger[: len(array)] = array
    return larger
