"""Boundary AP as its authors define it: boundaries by cv2, tables by the official tools with that IoU, with ``==``."""

from __future__ import annotations

import numpy as np
import pytest
from boundary_oracle import boundary_of, in_official_tools
from cases import coco_problem, lvis_problem, seeds
from evaluation_toys import refused
from oracles import assert_equal, coco_official, figures, fixed_official, lvis_official, pool_by_relabelling
from pycocotools import mask as coco

from fasa.evaluation import average_precision, evaluate, load_ground_truth, overlaps, portable
from fasa.evaluation.geometry import boundary, rle
from fasa.evaluation.kernels import kernels

SEEDS = seeds(24)


def shapes(seed: int) -> np.ndarray:
    """uint8 (height, width): a full or nearly full image, blobs, noise with holes, or stripes that touch the border."""
    rng = np.random.default_rng(seed)
    height, width = (int(v) for v in rng.integers(1, 260, 2))
    mask = np.zeros((height, width), np.uint8)
    kind = seed % 5
    if kind == 0:
        mask[:] = 1
        mask[rng.random((height, width)) < rng.choice([0, 0.0005, 0.01])] = 0
    elif kind == 1:
        y, x = np.mgrid[:height, :width]
        for _ in range(rng.integers(1, 6)):
            cy, cx, r = rng.random() * height, rng.random() * width, rng.random() * 80
            mask[(y - cy) ** 2 + ((x - cx) * rng.uniform(0.5, 2)) ** 2 < r**2] ^= 1
    elif kind == 2:
        mask[rng.random((height, width)) < 0.98] = 1
    elif kind == 3:
        mask[:, : rng.integers(1, width + 1)] = 1
        mask[rng.integers(height) :, rng.integers(width) :] ^= 1
    else:
        mask[rng.integers(height) :: rng.integers(1, 60)] = 1
        mask[:, rng.integers(width)] = 1
    return mask


def boundary_by_runs(runs: np.ndarray, tight: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """What the kernels, compiled and numba's, make of two such masks and a crowd between, as pixels of either."""
    start, sizes = np.arange(4) * len(runs), np.full(3, shape[0], np.int64)
    made = [
        kernel(
            np.arange(3), np.arange(3, dtype=np.int32), np.array([False, True, False]), np.tile(tight, (3, 1)),
            np.tile(runs, 3), start, sizes, boundary.distances(np.array([shape] * 3, np.int32)),
        )
        for kernel in (portable.truth_boundaries, kernels.truth_boundaries)
    ]  # fmt: skip
    (found, ends), other = made
    assert np.array_equal(found, other[0]) and np.array_equal(ends, other[1])
    assert ends[1] == ends[2] and np.array_equal(found[: ends[1]], found[ends[2] :])
    pixels = np.repeat(np.arange(ends[1]) % 2, found[: ends[1]])
    return np.pad(pixels, (0, shape[0] * shape[1] - len(pixels))).reshape(shape, order="F")


@pytest.mark.parametrize("seed", range(200))
def test_a_boundary_is_the_mask_without_its_erosion(seed):
    mask = shapes(seed)
    encoded = coco.encode(np.asfortranarray(mask))
    counts = np.frombuffer(encoded["counts"], np.uint8).copy()
    runs, _ = rle.to_runs(counts, np.array([0, len(counts)]))
    tight = coco.toBbox(encoded).astype(np.int32)
    assert np.array_equal(boundary_by_runs(runs, tight, mask.shape), boundary_of(mask))


def test_runs_of_no_pixels_part_nothing():
    full = np.ones((70, 90), np.uint8)
    runs = np.zeros(2 * full.size, np.uint32)
    runs[1::2] = 1  # every pixel a run of its own
    edge = boundary_by_runs(runs, np.array([0, 0, 90, 70], np.int32), full.shape)
    assert np.array_equal(edge, boundary_of(full)) and not edge.all()


def test_distances_are_rounded_as_python_rounds():
    sizes = np.random.default_rng(0).integers(1, 3000, (4000, 2)).astype(np.int32)
    sizes[:3] = [[1, 1], [75, 100], [35, 12]]  # the second: 2.5 pixels, half to even
    expected = [max(1, round(0.02 * np.sqrt(int(h) ** 2 + int(w) ** 2))) for h, w in sizes]
    assert boundary.distances(sizes).tolist() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_lvis_tables(seed):
    annotations, results = lvis_problem(seed)
    truth = load_ground_truth(annotations)
    found = overlaps(truth, results, "boundary")
    with in_official_tools():
        assert_equal(evaluate(found, "standard"), lvis_official(annotations, results))
        assert_equal(evaluate(found, "fixed"), fixed_official(annotations, results))
        assert figures(evaluate(found, "pool").summary) == pool_by_relabelling(annotations, results)


@pytest.mark.parametrize("seed", SEEDS)
def test_coco_tables_with_crowds(seed):
    annotations, results = coco_problem(seed)
    with in_official_tools():
        official = coco_official(annotations, results)
    assert_equal(evaluate(overlaps(load_ground_truth(annotations), results, "boundary")), official)


def test_it_is_another_figure_than_that_of_masks_and_never_higher_an_iou():
    annotations, results = lvis_problem(2)
    of_masks, of_boundaries = (average_precision(annotations, results, t)["AP"] for t in ("segm", "boundary"))
    assert 0 < of_boundaries < of_masks
    truth = load_ground_truth(annotations)
    masks, edges = (overlaps(truth, results, t) for t in ("segm", "boundary"))
    iou = dict(zip(zip(masks.detection, masks.truth, strict=True), masks.iou, strict=True))
    assert len(edges.iou) < len(masks.iou)
    assert all(iou[d, g] >= v for d, g, v in zip(edges.detection, edges.truth, edges.iou, strict=True))


def test_mistakes():
    annotations, results = lvis_problem(0)
    truth = load_ground_truth(annotations)
    assert "TIDE and thresholds below 0.5 know no boundaries" in refused(overlaps, truth, results, "boundary", True)
    box = {"image_id": annotations["images"][0]["id"], "category_id": 1, "score": 0.5, "bbox": [0, 0, 5, 5]}
    assert "has no segmentation" in refused(overlaps, truth, [box], "boundary")
