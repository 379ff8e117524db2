"""Run-length masks: see ``fasa.evaluation.geometry.rle``."""

from __future__ import annotations

import numpy as np

from fasa.evaluation.portable.compiled import compiled


@compiled
def decode(counts, at, end, runs):
    """Decode one string ``counts[at:end]`` into ``runs`` (no shorter than the string); how many, or -fault."""
    n = 0
    while at < end:
        value, shift = np.int64(0), 0
        while True:
            if at == end or shift > 30:
                return -2
            group = np.int64(counts[at]) - 48
            at += 1
            if group < 0 or group > 63:
                return -1
            value |= (group & 31) << shift
            shift += 5
            if not group & 32:
                if group & 16:
                    value |= np.int64(-1) << shift
                break
        if n > 2:
            value += np.int64(runs[n - 2])
        if value < 0:
            return -3
        runs[n] = value
        n += 1
    return n


@compiled
def intersection(a, n_a, b, n_b):
    """Pixels that two masks of one size share: runs ``a[:n_a]`` and ``b[:n_b]``, by one walk along both."""
    shared, i, j = np.int64(0), 0, 0
    end_a, end_b, at = np.int64(0), np.int64(0), np.int64(0)
    if n_a and n_b:
        end_a, end_b = np.int64(a[0]), np.int64(b[0])
    while i < n_a and j < n_b:
        end = min(end_a, end_b)
        if i & j & 1:
            shared += end - at
        at = end
        if end_a == end:
            i += 1
            if i < n_a:
                end_a += a[i]
        if end_b == end:
            j += 1
            if j < n_b:
                end_b += b[j]
    return shared


@compiled
def _box(runs, n, height, width, tight):
    """Pixels and tight box (x, y, w, h, written to ``tight``) of one mask; -1 where the runs do not fill the image."""
    area, at = np.int64(0), np.int64(0)
    left, right, top, bottom = width, np.int64(-1), height, np.int64(-1)
    for j in range(n):
        run = np.int64(runs[j])
        if j & 1 and run:
            x0, x1 = at // height, (at + run - 1) // height
            left, right = min(left, x0), max(right, x1)
            if x0 < x1:  # it crosses the bottom of a column, so it touches the image's top and bottom
                top, bottom = np.int64(0), height - 1
            else:
                top, bottom = min(top, at - x0 * height), max(bottom, at + run - 1 - x0 * height)
            area += run
        at += run
    if at != height * width:
        return np.int64(-1)
    if area:
        tight[0], tight[1], tight[2], tight[3] = left, top, right - left + 1, bottom - top + 1
    return area


@compiled
def measure_masks(counts, start, sizes, lo, hi, area, tight, fault):
    """Pixels, tight box and fault of the masks from ``lo`` to ``hi``."""
    longest = np.int64(0)
    for i in range(lo, hi):
        longest = max(longest, start[i + 1] - start[i])
    runs = np.empty(longest, np.uint32)
    for i in range(lo, hi):
        n = decode(counts, start[i], start[i + 1], runs)
        if n < 0:
            fault[i] = -n
            continue
        area[i] = _box(runs, n, np.int64(sizes[i, 0]), np.int64(sizes[i, 1]), tight[i])
        if area[i] < 0:
            area[i], fault[i] = 0, 4


@compiled
def count_runs(counts, start, per_mask):
    """The number of runs of each mask."""
    for i in range(len(per_mask)):
        for at in range(start[i], start[i + 1]):
            per_mask[i] += not (counts[at] - 48) & 32


@compiled
def fill_runs(counts, start, run_start, lo, hi, runs):
    """The runs of the masks from ``lo`` to ``hi``, those of mask i from ``run_start[i]`` on."""
    for i in range(lo, hi):
        decode(counts, start[i], start[i + 1], runs[run_start[i] : run_start[i + 1]])


@compiled
def mask_runs(pixels, columns, runs):
    """Write a mask's run lengths, column by column and background first, to ``runs``; how many."""
    height, width = pixels.shape
    columns[:] = 0
    top, bottom = height, -1
    for y in range(height):
        row = np.uint8(0)
        for x in range(width):
            row |= pixels[y, x]
            columns[x] |= pixels[y, x]
        if row:
            top, bottom = min(top, y), y
    n, value, since = 0, np.uint8(0), 0
    for x in range(width):
        if columns[x]:
            if value and top > 0:  # the object reached the bottom of the column before
                runs[n], since, value = x * height - since, x * height, np.uint8(0)
                n += 1
            for y in range(top, bottom + 1):
                if pixels[y, x] != value:
                    at = x * height + y
                    runs[n], since, value = at - since, at, pixels[y, x]
                    n += 1
            if value and bottom < height - 1:
                at = x * height + bottom + 1
                runs[n], since, value = at - since, at, np.uint8(0)
                n += 1
        elif value:
            runs[n], since, value = x * height - since, x * height, np.uint8(0)
            n += 1
    runs[n] = height * width - since
    return n + 1


@compiled
def run_text(runs, n, text):
    """Write pycocotools' ``rleToString`` of ``runs[:n]`` to ``text``; how many characters."""
    length = 0
    for i in range(n):
        value = np.int64(runs[i])
        if i > 2:
            value -= np.int64(runs[i - 2])
        more = True
        while more:
            group = value & 31
            value >>= 5
            more = value != -1 if group & 16 else value != 0
            text[length] = (group | 32 if more else group) + 48
            length += 1
    return length


def draw_polygons(text, height, width):
    """None: polygons in JSON are left to pycocotools."""
    return None
