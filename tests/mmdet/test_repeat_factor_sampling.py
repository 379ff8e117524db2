"""Repeat-factor sampling: by hand, and with LVIS v1's own image counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, ClassBalancedDataset
from toys_lvis import original


class Labels(BaseDataset):
    """Images that are only the labels of their annotations."""

    def __init__(self, labels: list[list[int]]) -> None:
        self.labels = labels
        super().__init__(metainfo={"classes": ()}, lazy_init=True)

    def full_init(self) -> None:
        self._fully_initialized = True

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> int:
        return index

    def get_cat_ids(self, index: int) -> list[int]:
        return self.labels[index]


def test_repeat_factors_by_hand():
    """Class 1 in 1 of 8 images: sqrt(0.5 / 0.125) = 2; class 2 in 2 of 8: sqrt(2) is rounded up; none: once."""
    labels = [[0], [0, 1], [0, 2], [2], [0], [0], [0], []]
    repeated = ClassBalancedDataset(Labels(labels), oversample_thr=0.5)
    assert repeated.repeat_indices == [0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7]


@pytest.fixture(scope="module")
def lvis_images() -> tuple[np.ndarray, int]:
    """Images of each of LVIS v1's classes, and annotated images of its train split."""
    categories = json.loads(original("lvis/lvis_v1_train_cat_info.json").read_text())
    return np.array([category["image_count"] for category in categories]), 99_388


def test_repeat_factors_of_lvis_v1(lvis_images):
    """Each class in as many images as in LVIS, but in any: the counts do not say which classes are seen together."""
    counts, images = lvis_images
    order = np.random.default_rng(0).permutation(images)
    labels: list[list[int]] = [[] for _ in range(images)]
    start = 0
    for label, n in enumerate(counts.tolist()):
        for image in order[(start + np.arange(n)) % images].tolist():
            labels[image].append(label)
        start += n
    dataset = Labels(labels)
    factors = np.array(ClassBalancedDataset(dataset, 1e-3, lazy_init=True)._get_repeat_factors(dataset, 1e-3))
    by_hand = np.maximum(1, np.sqrt(1e-3 * images / counts))
    assert (by_hand > 1).sum() == 796
    assert factors == pytest.approx([by_hand[own].max(initial=1) for own in labels], rel=1e-12)
    for n, factor in {1: 9.97, 2: 7.05, 10: 3.15, 50: 1.41}.items():
        assert set(by_hand[counts == n].round(2)) == {factor}
    assert math.ceil(images / 16) == 6212  # iterations of an epoch without repetition
    # A user of the real file counts 7,674 iterations of 16; that needs to know which classes share their images.
    most = (images + (counts * (np.ceil(by_hand) - 1)).sum()) / 16  # if no image had two classes of the tail
    drawn = np.ceil(factors).sum() / 16
    assert 6212 < 7674 < drawn < most
    assert drawn == pytest.approx(7674, rel=0.02) and most == pytest.approx(7674, rel=0.03)
