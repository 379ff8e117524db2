"""The data sets themselves: the digits as shipped, and the real CIFAR-100 where it is at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from fasa.datasets import load_pack, prepare_classification
from fasa.datasets.cifar import read_cifar100
from fasa.datasets.digits import read_digits
from fasa.datasets.long_tail import ImagePool, cao_subset, class_counts
from fasa.errors import UserError


@pytest.fixture(scope="module")
def digits() -> ImagePool:
    return read_digits()


def test_digits_are_split_once_and_for_all(digits):
    assert np.bincount(digits.test_labels).tolist() == [50] * 10
    # 1,797 images, 174 to 183 a class
    assert np.bincount(digits.train_labels).tolist() == [128, 132, 127, 133, 131, 132, 131, 129, 124, 130]
    again = read_digits()
    np.testing.assert_array_equal(digits.train_images, again.train_images)
    np.testing.assert_array_equal(digits.test_images, again.test_images)


def test_digits_are_images_of_three_equal_channels(digits):
    assert digits.train_images.dtype == np.uint8 and digits.train_images.shape[1:] == (3, 16, 16)
    assert digits.train_images.min() == 0 and digits.train_images.max() == 255
    np.testing.assert_array_equal(digits.train_images[:, 0], digits.train_images[:, 2])
    assert digits.class_names[0] == "zero" and digits.class_names[9] == "nine"
    assert not digits.flip and digits.pad == 2


def test_digits_are_normalised_by_their_own_pool(digits):
    scaled = (digits.train_images / 255 - digits.mean[0]) / digits.std[0]
    assert abs(scaled.mean()) < 1e-3 and abs(scaled.std() - 1) < 1e-3


def test_digits_lt_end_to_end(tmp_path):
    for name in ("first", "second"):
        prepare_classification("digits_lt", 20, 20, 0, None, tmp_path / "unused", tmp_path / f"{name}.npz")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    dataset = load_pack(tmp_path / "first.npz")
    assert dataset.class_counts.tolist() == [100, 71, 51, 36, 26, 18, 13, 9, 6, 5]
    assert np.bincount(dataset.heldout_labels).tolist() == [20] * 10
    assert len(dataset.test_images) == 500


def test_digits_take_no_source(tmp_path):
    with pytest.raises(UserError, match="leave --source out"):
        prepare_classification("digits_lt", 20, 20, 0, tmp_path, tmp_path, tmp_path / "pack.npz")


@pytest.fixture(scope="module")
def cifar100_source() -> Path:
    folder = os.environ.get("FASA_TEST_DATA")
    if not folder:
        pytest.skip("FASA_TEST_DATA does not name a data folder")
    source = Path(folder) / "cifar100"
    if not source.is_dir():
        pytest.skip(f"FASA_TEST_DATA has no folder cifar100: {source}")
    return source


@pytest.fixture(scope="module")
def cifar100(cifar100_source) -> ImagePool:
    return read_cifar100(cifar100_source)


@pytest.mark.slow
def test_real_cifar100_pixels(cifar100):
    images = cifar100.train_images
    np.testing.assert_allclose(images.mean(axis=(0, 2, 3)), [129.304166, 124.069963, 112.434050], atol=1e-6)
    np.testing.assert_allclose(images.std(axis=(0, 2, 3)), [68.170243, 65.391808, 70.418370], atol=1e-6)
    assert np.bincount(cifar100.train_labels).tolist() == [500] * 100
    assert np.bincount(cifar100.test_labels).tolist() == [100] * 100
    assert cifar100.class_names[0] == "apple" and cifar100.class_names[99] == "worm"


@pytest.mark.slow
def test_real_cifar100_ranks(cifar100):
    kept = cao_subset(cifar100.train_labels, class_counts(500, 100, 100))
    for label, ranks in {99: [348, 153, 363, 361, 299], 50: [307, 484, 149, 423, 351]}.items():
        positions = np.flatnonzero(cifar100.train_labels == label)
        assert np.searchsorted(positions, kept[label][:5]).tolist() == ranks


@pytest.mark.slow
def test_real_cifar100_pack_is_small_and_whole(cifar100, cifar100_source, tmp_path):
    destination = tmp_path / "cifar100_lt.npz"
    prepare_classification("cifar100_lt", 100, 20, 0, cifar100_source, tmp_path / "unused", destination)
    assert destination.stat().st_size < 60e6
    dataset = load_pack(destination)
    assert len(dataset.train_images) == 10_847 and len(dataset.heldout_images) == 1_980
    assert dataset.class_counts.tolist() == class_counts(500, 100, 100).tolist()
    kept = np.concatenate(cao_subset(cifar100.train_labels, dataset.class_counts))
    np.testing.assert_array_equal(dataset.train_images, cifar100.train_images[kept])
    np.testing.assert_array_equal(dataset.test_images, cifar100.test_images)
