"""Cut a balanced image data set down to a long-tailed one: class sizes, which images stay, which are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fasa.errors import UserError


@dataclass(frozen=True, eq=False)
class ImagePool:
    """A balanced image data set as published, before any class is cut down.

    Images are uint8 [N, 3, H, W], labels int64 [N]; ``mean`` and ``std`` are per channel with pixels in 0..1;
    ``flip`` allows the horizontal flip and ``pad`` is the zero padding of the random crop in pixels.
    """

    class_names: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    flip: bool
    pad: int


@dataclass(frozen=True, eq=False)
class LongTailDataset:
    """A long-tailed training set, held-out images for adaptation, and the untouched balanced test set.

    Images are uint8 [N, 3, H, W], labels int64 [N], both stored class by class except for the test set, which keeps
    its published order; the other fields are those of `ImagePool`.
    """

    name: str
    class_names: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    heldout_images: np.ndarray
    heldout_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    flip: bool
    pad: int

    @property
    def class_counts(self) -> np.ndarray:
        """Training images per class, int64 [C]."""
        return np.bincount(self.train_labels, minlength=len(self.class_names))


def class_counts(largest: int, classes: int, imbalance_ratio: float) -> np.ndarray:
    """Training images per class, int64 [C], falling exponentially from ``largest`` to ``largest / imbalance_ratio``.

    Raises:
        UserError: the ratio is below 1, or so large that the last class would be left without an image.
    Source: Cao et al., LDAM (2019), ``imbalance_cifar.py``: N_i = int(N_max * (1 / ratio) ** (i / (C - 1))).
    """
    if not 1 <= imbalance_ratio < float("inf"):
        raise UserError(f"imbalance_ratio is {imbalance_ratio}: choose a number of at least 1.")
    factor = 1 / imbalance_ratio
    counts = [int(largest * factor ** (index / max(classes - 1, 1))) for index in range(classes)]
    if min(counts) < 1:
        raise UserError(
            f"imbalance_ratio {imbalance_ratio} leaves the rarest class without an image ({largest} in the largest): "
            "choose a smaller ratio."
        )
    return np.array(counts, dtype=np.int64)


def cao_subset(labels: np.ndarray, counts: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """Positions of the images that each class keeps, a list of C int64 arrays of lengths ``counts``.

    Raises:
        UserError: a class has fewer images than it should keep, or the seed is outside 0..2**32-1.
    Source: Cao et al., LDAM (2019), ``imbalance_cifar.py``; seed 0 is the published subset.
    """
    shuffled = _shuffled_positions(labels, len(counts), seed)
    for label, (positions, count) in enumerate(zip(shuffled, counts, strict=True)):
        if len(positions) < count:
            raise UserError(
                f"Class {label} has {len(positions)} training images where {count} are to be kept: "
                "use the complete data set."
            )
    return [positions[:count] for positions, count in zip(shuffled, counts, strict=True)]


def heldout_subset(labels: np.ndarray, counts: np.ndarray, per_class: int = 20, seed: int = 0) -> list[np.ndarray]:
    """Positions of up to ``per_class`` images that follow each class's kept ones, a list of C int64 arrays.

    They continue the same shuffled order, so none of them is in `cao_subset`; a class with nothing left gets none.
    """
    if per_class < 0:
        raise UserError(f"heldout_per_class is {per_class}: choose 0 or more.")
    shuffled = _shuffled_positions(labels, len(counts), seed)
    return [positions[count : count + per_class] for positions, count in zip(shuffled, counts, strict=True)]


def build_long_tail(
    name: str, pool: ImagePool, largest: int, imbalance_ratio: float, heldout_per_class: int = 20, subset_seed: int = 0
) -> LongTailDataset:
    """Cut ``pool`` down to a long-tailed data set whose first class keeps ``largest`` images.

    Raises:
        UserError: as `class_counts`, `cao_subset` and `heldout_subset`.
    """
    counts = class_counts(largest, len(pool.class_names), imbalance_ratio)
    kept = np.concatenate(cao_subset(pool.train_labels, counts, subset_seed))
    heldout = np.concatenate(heldout_subset(pool.train_labels, counts, heldout_per_class, subset_seed))
    return LongTailDataset(
        name=name,
        class_names=pool.class_names,
        train_images=pool.train_images[kept],
        train_labels=pool.train_labels[kept],
        heldout_images=pool.train_images[heldout],
        heldout_labels=pool.train_labels[heldout],
        test_images=pool.test_images,
        test_labels=pool.test_labels,
        mean=pool.mean,
        std=pool.std,
        flip=pool.flip,
        pad=pool.pad,
    )


def _shuffled_positions(labels: np.ndarray, classes: int, seed: int) -> list[np.ndarray]:
    # One legacy generator runs through all classes in order: the same stream as seeding NumPy's global one once.
    try:
        generator = np.random.RandomState(seed)
    except ValueError as error:
        raise UserError(f"subset_seed is {seed}: choose an integer from 0 to 2**32-1.") from error
    shuffled = []
    for label in range(classes):
        positions = np.flatnonzero(labels == label)
        generator.shuffle(positions)
        shuffled.append(positions)
    return shuffled
