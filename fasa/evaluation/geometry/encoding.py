"""Dense masks to COCO's compressed strings, byte for byte as pycocotools writes them, four times as fast and more.

pycocotools wants each mask turned to column order and looks at every pixel then; here one pass in memory order finds
the rows and columns that an object touches, and only the pixels between them are walked column by column.
"""

from __future__ import annotations

import numba
import numpy as np

from fasa.evaluation.threads import in_parallel

_CHARACTERS = 7  # of a run at most: five bits each


def encode(masks: np.ndarray) -> list[bytes]:
    """The compressed strings of bool [k, height, width] masks."""
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
            if value and top > 0:  # the object left the column before at its foot
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
