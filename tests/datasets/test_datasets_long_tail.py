"""Class sizes and subsets, against numbers computed by hand and against Cao's own loop."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasa.datasets.long_tail import ImagePool, build_long_tail, cao_subset, class_counts, heldout_subset
from fasa.errors import UserError

# LDAM's CIFAR-100 at ratio 100, one number a class
# fmt: off
CIFAR100_AT_100 = [
    500, 477, 455, 434, 415, 396, 378, 361, 344, 328, 314, 299, 286, 273, 260, 248, 237, 226, 216, 206, 197, 188, 179,
    171, 163, 156, 149, 142, 135, 129, 123, 118, 112, 107, 102, 98, 93, 89, 85, 81, 77, 74, 70, 67, 64, 61, 58, 56,
    53, 51, 48, 46, 44, 42, 40, 38, 36, 35, 33, 32, 30, 29, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 15,
    14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5,
]
# fmt: on
# the first five ranks, within their class, that the published subset keeps: they depend on no pixel
KEPT_RANKS = {99: [348, 153, 363, 361, 299], 50: [307, 484, 149, 423, 351]}


def pool_of(labels: np.ndarray, classes: int) -> ImagePool:
    """Images that carry their own position, so that a test can see which ones were taken."""
    images = np.zeros((len(labels), 3, 4, 4), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 1, 0, 0] = np.divmod(np.arange(len(labels)), 256)
    names = tuple(f"class {index}" for index in range(classes))
    third = (0.5, 0.5, 0.5)
    return ImagePool(names, images, labels, images[:7], labels[:7], mean=third, std=third, flip=True, pad=1)


def test_counts_of_cifar100_at_ratio_100():
    assert class_counts(500, 100, 100).tolist() == CIFAR100_AT_100


@pytest.mark.parametrize(
    ("largest", "classes", "ratio", "total"),
    [(500, 100, 100, 10_847), (500, 100, 10, 19_573), (5000, 10, 100, 12_406), (5000, 10, 10, 20_431)],
)
def test_totals_that_the_literature_states(largest, classes, ratio, total):
    assert class_counts(largest, classes, ratio).sum() == total


def test_counts_of_cifar10_at_ratio_100():
    assert class_counts(5000, 10, 100).tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def test_ratio_1_leaves_the_set_balanced():
    assert class_counts(500, 100, 1).tolist() == [500] * 100


@given(
    largest=st.integers(100, 5000),
    classes=st.integers(1, 200),
    ratio=st.floats(1, 90, allow_nan=False),
)
def test_counts_fall_from_the_largest_to_its_share(largest, classes, ratio):
    counts = class_counts(largest, classes, ratio)
    assert counts.dtype == np.int64 and len(counts) == classes
    assert counts[0] == largest
    assert (np.diff(counts) <= 0).all()
    if classes > 1:
        assert abs(counts[-1] - largest / ratio) <= 1


@pytest.mark.parametrize("ratio", [0.5, 0, -1, float("nan"), float("inf")])
def test_a_ratio_below_1_is_refused(ratio):
    with pytest.raises(UserError, match="imbalance_ratio"):
        class_counts(500, 100, ratio)


def test_a_ratio_that_empties_a_class_is_refused():
    with pytest.raises(UserError, match="smaller ratio"):
        class_counts(100, 10, 101)


def test_the_published_subset_by_rank():
    labels = np.tile(np.arange(100), 500)  # position = rank * 100 + class
    kept = cao_subset(labels, class_counts(500, 100, 100))
    for label, ranks in KEPT_RANKS.items():
        assert (kept[label] // 100).tolist()[:5] == ranks
        assert (kept[label] % 100 == label).all()


@pytest.mark.parametrize("seed", [0, 7])
def test_subset_equals_the_global_generator_seeded_once(seed):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10), 30))
    counts = class_counts(30, 10, 10)
    state = np.random.get_state()
    try:
        np.random.seed(seed)
        expected = []
        for label, count in enumerate(counts):
            positions = np.where(labels == label)[0]
            np.random.shuffle(positions)
            expected.append(positions[:count].tolist())
    finally:
        np.random.set_state(state)
    assert [kept.tolist() for kept in cao_subset(labels, counts, seed)] == expected


def test_the_global_generator_is_left_alone():
    np.random.seed(3)
    expected = np.random.random_sample()
    np.random.seed(3)
    cao_subset(np.repeat(np.arange(4), 9), class_counts(9, 4, 3))
    assert np.random.random_sample() == expected


@given(
    sizes=st.lists(st.integers(20, 60), min_size=2, max_size=12),
    ratio=st.floats(1, 20),
    per_class=st.integers(0, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_heldout_images_are_the_next_ones_and_never_trained_on(sizes, ratio, per_class, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    counts = class_counts(20, len(sizes), ratio)
    kept, heldout = cao_subset(labels, counts, seed), heldout_subset(labels, counts, per_class, seed)
    for label, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        assert len(kept[label]) == count
        assert len(heldout[label]) == min(per_class, size - count)
        taken = [*kept[label], *heldout[label]]
        assert len(set(taken)) == len(taken)
        assert (labels[taken] == label).all()


def test_a_class_that_is_too_small_is_refused():
    with pytest.raises(UserError, match="Class 1 has 3 training images where 4"):
        cao_subset(np.array([0, 0, 0, 0, 1, 1, 1]), np.array([4, 4]))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_cannot_take_is_refused(seed):
    with pytest.raises(UserError, match="subset_seed"):
        cao_subset(np.array([0, 1]), np.array([1, 1]), seed)


def test_a_negative_heldout_size_is_refused():
    with pytest.raises(UserError, match="heldout_per_class"):
        heldout_subset(np.array([0, 1]), np.array([1, 1]), -1)


def test_built_set_holds_the_images_of_its_positions_class_by_class():
    labels = np.tile(np.arange(10), 30)
    pool = pool_of(labels, 10)
    dataset = build_long_tail("toy", pool, largest=30, imbalance_ratio=10, heldout_per_class=4)
    counts = class_counts(30, 10, 10)
    kept, heldout = np.concatenate(cao_subset(labels, counts)), np.concatenate(heldout_subset(labels, counts, 4))
    np.testing.assert_array_equal(dataset.train_images, pool.train_images[kept])
    np.testing.assert_array_equal(dataset.heldout_images, pool.train_images[heldout])
    np.testing.assert_array_equal(dataset.train_labels, np.repeat(np.arange(10), counts))
    np.testing.assert_array_equal(dataset.class_counts, counts)
    np.testing.assert_array_equal(dataset.test_labels, pool.test_labels)
    assert (dataset.heldout_labels == 0).sum() == 0  # the head class uses every image it has


def test_importing_the_datasets_loads_neither_torch_nor_scikit_learn():
    code = "import sys, fasa.datasets; print([name for name in ('torch', 'sklearn', 'scipy') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
