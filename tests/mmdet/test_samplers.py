"""Class-aware and repeat-factor sampling: by hand, over processes, and with LVIS v1's own image counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from mmdet.utils import register_all_modules
from mmengine.dataset import BaseDataset, ClassBalancedDataset
from mmengine.runner import Runner
from toys_lvis import original

from fasa.errors import UserError
from fasa.mmdet import samplers
from fasa.mmdet.samplers import ClassCycleSampler, class_cycle, images_of_classes


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


TOY = [[0], [0, 0], [0, 1], [], [1], [4], [0], [0]]  # class 4 in one image, classes 2 and 3 in none


def sampler(monkeypatch, rank: int = 0, processes: int = 1, **options) -> ClassCycleSampler:
    monkeypatch.setattr(samplers, "get_dist_info", lambda: (rank, processes))
    return ClassCycleSampler(Labels(TOY), **options)


def test_images_of_classes_by_hand():
    assert [images.tolist() for images in images_of_classes(Labels(TOY))] == [[0, 1, 2, 6, 7], [2, 4], [5]]


def test_every_class_once_a_round_and_every_image_once_a_pass():
    images = images_of_classes(Labels(TOY))
    order = class_cycle(images, 30, seed=0, epoch=0).reshape(10, 3)
    for drawn in order:  # one image of each class, in some order
        assert any(
            drawn[i] in images[0] and drawn[j] in images[1] and drawn[k] == 5
            for i, j, k in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
        )
    alone = class_cycle([np.arange(7)], 21, seed=0, epoch=0).reshape(3, 7)
    assert (np.sort(alone, axis=1) == np.arange(7)).all()
    assert not (alone[0] == alone[1]).all()


def test_each_class_gets_the_same_share(monkeypatch):
    images = [np.arange(0, 100), np.arange(100, 103), np.array([103])]
    order = class_cycle(images, 3000, seed=1, epoch=2)
    assert [int(np.isin(order, own).sum()) for own in images] == [1000, 1000, 1000]
    counts = np.bincount(order, minlength=104)
    assert set(counts[:100]) == {10} and counts[100:103].max() - counts[100:103].min() <= 1 and counts[103] == 1000


def test_the_order_is_a_function_of_seed_and_epoch(monkeypatch):
    first = sampler(monkeypatch, seed=3)
    epochs = []
    for epoch in range(4):
        first.set_epoch(epoch)
        epochs.append(list(first))
    resumed = sampler(monkeypatch, seed=3)
    resumed.set_epoch(2)
    assert list(resumed) == epochs[2]
    assert list(resumed) == epochs[2]  # and not of how often it was asked
    assert len({tuple(epoch) for epoch in epochs}) == 4
    other = sampler(monkeypatch, seed=4)
    other.set_epoch(0)
    assert list(other) != epochs[1]  # MMDetection's own adds seed and epoch


@pytest.mark.parametrize("samples", [8, 12, 7])
def test_two_processes_share_the_order_of_one(monkeypatch, samples):
    one = list(sampler(monkeypatch, seed=5, samples=samples))
    halves = [list(sampler(monkeypatch, rank, 2, seed=5, samples=samples)) for rank in range(2)]
    together = [image for pair in zip(*halves, strict=True) for image in pair]
    assert together[:samples] == one
    assert together[samples:] == one[: samples % 2]  # a lacking image comes from the beginning
    assert len(sampler(monkeypatch, 0, 2, seed=5, samples=samples)) == len(halves[0]) == math.ceil(samples / 2)


def test_without_annotations_there_is_nothing_to_draw():
    with pytest.raises(UserError, match="have no annotations"):
        ClassCycleSampler(Labels([[], []]), seed=0)


def test_a_config_names_it():
    register_all_modules()
    config = {"type": "ClassCycleSampler", "samples": 6}
    loader = {"dataset": Labels(TOY), "sampler": config, "batch_size": 2, "num_workers": 0}
    loader = Runner.build_dataloader(loader | {"collate_fn": {"type": "default_collate"}}, seed=7)
    assert isinstance(loader.sampler, ClassCycleSampler) and loader.sampler.seed == 7
    assert [image for batch in loader for image in batch.tolist()] == list(loader.sampler)


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
