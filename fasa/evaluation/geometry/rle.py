"""COCO's run-length masks as arrays: encoded, decoded, measured and intersected, without a Python object per mask.

A mask is its runs, column by column, background first. The compressed string holds each run (from the third on: its
difference from the run before last) as little-endian groups of five bits, one character a group, 48 added; bit 5 says
that a group follows, bit 4 of the last group is the sign (pycocotools' ``rleToString``).
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from fasa.errors import UserError
from fasa.evaluation.arrays import in_parallel

_CHARACTERS = 7  # of a run at most: five bits each

FAULTS = {
    1: "has a character that no compressed RLE has",
    2: "ends in the middle of a run",
    3: "has a run of negative length",
    4: "has runs that do not add up to height x width",
}


def measure(counts: np.ndarray, start: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels and tight boxes of compressed masks.

    Args:
        counts: uint8, the strings one after the other.
        start: int64 (n + 1,), where each begins.
        sizes: int32 (n, 2), height and width in pixels.

    Returns:
        int64 (n,) pixels; int32 (n, 4) x, y, w, h of the tight box, zeros for an empty mask (pycocotools' ``toBbox``);
        int8 (n,) fault, 0 or a key of ``FAULTS``.
    """
    n = len(start) - 1
    area, tight, fault = np.zeros(n, np.int64), np.zeros((n, 4), np.int32), np.zeros(n, np.int8)
    in_parallel(lambda lo, hi: _measure(counts, start, sizes, lo, hi, area, tight, fault), n)
    return area, tight, fault


def check(
    counts: np.ndarray, start: np.ndarray, sizes: np.ndarray, where: Callable[[int], str]
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels int64 (n,) and tight boxes int32 (n, 4) as ``measure``; ``where(i)`` names the i-th mask in the sentence.

    Raises:
        UserError: a string is no sound mask of its size.
    """
    area, tight, fault = measure(counts, start, sizes)
    if fault.any():
        i = int(np.argmax(fault != 0))
        height, width = sizes[i].tolist()
        raise UserError(
            f'{where(i)}: its "segmentation" {FAULTS[int(fault[i])]} ({height} x {width}): encode that mask again.'
        )
    return area, tight


def to_runs(counts: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run lengths of sound compressed masks: uint32 runs of all masks and int64 (n + 1,) where each mask's begin."""
    per_mask = _count_runs(counts, start)
    run_start = np.concatenate(([0], np.cumsum(per_mask)))
    runs = np.empty(run_start[-1], np.uint32)
    for i in range(0, len(per_mask), 1 << 20):
        _fill_runs(counts, start, run_start, i, min(i + (1 << 20), len(per_mask)), runs)
    return runs, run_start


def encode(masks: np.ndarray) -> list[bytes]:
    """The compressed strings of bool (k, height, width) masks, byte for byte as pycocotools writes them.

    Four times as fast and more: pycocotools wants each mask in column order and looks at every pixel; here one pass in
    memory order finds the rows and columns that an object touches, and only the pixels between them are walked again.
    """
    pixels = np.ascontiguousarray(masks).view(np.uint8)
    height, width = pixels.shape[1:]

    def work(begin: int, end: int) -> list[bytes]:
        runs = np.empty(height * width + 2, np.uint32)
        columns = np.empty(width, np.uint8)
        strings = []
        for i in range(begin, end):
            n = _runs(pixels[i], columns, runs)
            text = np.empty(n * _CHARACTERS, np.uint8)
            strings.append(text[: _text(runs, n, text)].tobytes())
        return strings

    return [string for part in in_parallel(work, len(pixels), smallest=16) for string in part]


@numba.njit(nogil=True, cache=True)
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


@numba.njit(nogil=True, cache=True)
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


@numba.njit(nogil=True, cache=True)
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


@numba.njit(nogil=True, cache=True)
def _measure(counts, start, sizes, lo, hi, area, tight, fault):
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


@numba.njit(nogil=True, cache=True)
def _count_runs(counts, start):
    per_mask = np.zeros(len(start) - 1, np.int64)
    for i in range(len(per_mask)):
        for at in range(start[i], start[i + 1]):
            per_mask[i] += not (counts[at] - 48) & 32
    return per_mask


@numba.njit(nogil=True, cache=True)
def _fill_runs(counts, start, run_start, lo, hi, runs):
    for i in range(lo, hi):
        decode(counts, start[i], start[i + 1], runs[run_start[i] : run_start[i + 1]])


@numba.njit(nogil=True, cache=True)
def _runs(pixels, columns, runs):
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


@numba.njit(nogil=True, cache=True)
def _text(runs, n, text):
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
