"""Run-length masks against pycocotools."""

from __future__ import annotations

import numpy as np
import pycocotools.mask as official
import pytest

from fasa.evaluation.geometry import rle


def masks(seed: int, count: int) -> list[np.ndarray]:
    """Noise, rectangles, full, empty and one-pixel-wide masks of many sizes."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        height, width = (int(v) for v in rng.integers(1, 70, 2))
        mask = np.zeros((height, width), np.uint8, order="F")
        if i % 3 == 0:
            mask[rng.random((height, width)) < rng.random()] = 1
        elif i % 3 == 1:
            y, x = rng.integers(height), rng.integers(width)
            mask[y : y + rng.integers(1, 50), x : x + rng.integers(1, 50)] = 1
        else:
            mask[:] = i % 2
        made.append(mask)
    return made


def columns(strings: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    counts = np.frombuffer(b"".join(strings), np.uint8).copy()
    return counts, np.cumsum([0, *map(len, strings)])


def test_areas_boxes_and_runs_are_pycocotools():
    some = masks(0, 600)
    encoded = official.encode
    rles = [encoded(mask) for mask in some]
    sizes = np.array([mask.shape for mask in some], np.int32)
    counts, start = columns([r["counts"] for r in rles])
    area, tight, fault = rle.measure(counts, start, sizes)
    assert not fault.any()
    assert area.tolist() == [int(mask.sum()) for mask in some]
    assert np.array_equal(tight, official.toBbox(rles))
    runs, run_start = rle.to_runs(counts, start)
    for i, mask in enumerate(some):
        values = np.arange(run_start[i + 1] - run_start[i]) % 2
        assert np.array_equal(np.repeat(values, runs[run_start[i] : run_start[i + 1]]), mask.ravel(order="F"))
    again = rle.measure_runs(runs, run_start, sizes)
    assert np.array_equal(again[0], area) and np.array_equal(again[1], tight) and not again[2].any()


def test_intersections_are_those_of_the_pixels():
    rng = np.random.default_rng(1)
    for _ in range(300):
        shape = tuple(rng.integers(1, 40, 2))
        a, b = (np.asfortranarray(rng.random(shape) < rng.random()).astype(np.uint8) for _ in range(2))
        runs, start = rle.to_runs(*columns([official.encode(np.asfortranarray(m))["counts"] for m in (a, b)]))
        first, second = runs[: start[1]], runs[start[1] :]
        assert rle.intersection(first, len(first), second, len(second)) == (a & b).sum()


@pytest.mark.parametrize(
    ("string", "fault"),
    [
        (b"\x00", "has a character"),
        (b"~", "has a character"),
        (b"P", "ends in the middle"),
        (b"PPPPPPPPPPPPPPP", "ends in the middle"),
        (b"O", "has a run of negative length"),
        (b"1", "does not add up|do not add up"),
        (b"", "do not add up"),
    ],
)
def test_a_broken_string_has_its_fault_named(string, fault):
    counts, start = columns([string])
    area, _, faults = rle.measure(counts, start, np.array([[4, 5]], np.int32))
    assert area[0] == 0
    assert any(part in rle.FAULTS[faults[0]] for part in fault.split("|"))


def test_random_bytes_never_pass_for_another_mask():
    rng = np.random.default_rng(2)
    sound = 0
    for _ in range(3000):
        string = bytes(rng.integers(40, 120, rng.integers(0, 6)).astype(np.uint8))
        counts, start = columns([string])
        area, _, fault = rle.measure(counts, start, np.array([[3, 3]], np.int32))
        if not fault[0]:
            sound += 1
            assert official.area({"size": [3, 3], "counts": string}) == area[0]
    assert sound
