"""Run-length masks against pycocotools."""

from __future__ import annotations

import numpy as np
import pycocotools.mask as official
import pytest

from fasa.evaluation.geometry import rle
from fasa.evaluation.kernels import kernels


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


def test_intersections_are_those_of_the_pixels():
    rng = np.random.default_rng(1)
    zero, false = np.zeros(1, np.int32), np.zeros(1, bool)
    for _ in range(300):
        shape = tuple(rng.integers(1, 40, 2))
        a, b = (np.asfortranarray(rng.random(shape) < rng.random()).astype(np.uint8) for _ in range(2))
        (counts, start), other = (columns([official.encode(mask)["counts"]]) for mask in (a, b))
        area, tight, _ = rle.measure(counts, start, np.array([shape], np.int32))
        truth_area, truth_tight, _ = rle.measure(*other, np.array([shape], np.int32))
        _, _, iou = kernels.mask_pairs(
            0, 1, zero, zero, area, tight, counts, start, np.array([0, 1]), zero, false, truth_area, truth_tight,
            *rle.to_runs(*other), False, 0.0, 0.0,
        )  # fmt: skip
        assert iou.tolist() == ([(a & b).sum() / (a | b).sum()] if (a & b).any() else iou.tolist())
        assert not iou.any() or (a & b).any()


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


def official_strings(masks: np.ndarray) -> list[bytes]:
    return [official.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] for mask in masks]


@pytest.mark.parametrize("seed", range(6))
def test_random_masks_give_the_same_bytes(seed: int):
    rng = np.random.default_rng(seed)
    for i in range(150):
        height, width = rng.integers(1, 15, 2)
        masks = rng.random((int(rng.integers(1, 4)), height, width)) < rng.choice([0, 0.05, 0.5, 0.95, 1])
        if i % 3 == 0:  # one block, at the edges often
            y, x = rng.integers(height), rng.integers(width)
            masks[:] = False
            masks[:, y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = True
        assert rle.encode(masks) == official_strings(masks)


def test_long_runs_many_masks_and_other_layouts_of_memory():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :401]
    radius, centre = rng.uniform(1, 200, 40), rng.uniform(0, 400, (40, 2))
    masks = np.stack([(x - c[0]) ** 2 + (y - c[1]) ** 2 < r**2 for c, r in zip(centre, radius, strict=True)])
    assert rle.encode(masks) == official_strings(masks)
    assert rle.encode(masks[:, ::-1, ::2]) == official_strings(masks[:, ::-1, ::2])
    assert rle.encode(masks.transpose(0, 2, 1)) == official_strings(masks.transpose(0, 2, 1))
    assert rle.encode(masks[:0]) == []
