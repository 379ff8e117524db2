"""Our encoder of dense masks writes pycocotools' bytes."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from fasa.evaluation.geometry.encoding import encode


def official(masks: np.ndarray) -> list[bytes]:
    return [coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] for mask in masks]


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
        assert encode(masks) == official(masks)


def test_long_runs_many_masks_and_other_layouts_of_memory():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :401]
    radius, centre = rng.uniform(1, 200, 40), rng.uniform(0, 400, (40, 2))
    masks = np.stack([(x - c[0]) ** 2 + (y - c[1]) ** 2 < r**2 for c, r in zip(centre, radius, strict=True)])
    assert encode(masks) == official(masks)
    assert encode(masks[:, ::-1, ::2]) == official(masks[:, ::-1, ::2])
    assert encode(masks.transpose(0, 2, 1)) == official(masks.transpose(0, 2, 1))
    assert encode(masks[:0]) == []
