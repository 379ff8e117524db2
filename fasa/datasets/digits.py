"""Real images without a download: the 1,797 handwritten digits that ship with scikit-learn."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fasa.datasets.long_tail import ImagePool

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_PER_CLASS = 50
SIDE = 16  # pixels; the originals are 8 x 8, too few for a network that halves the map twice
PAD = 2


def read_digits() -> ImagePool:
    """The digits as uint8 [N, 3, 16, 16] with three equal channels, 50 fixed test images a class, the rest to train on.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), as ``sklearn.datasets`` has it.
    """
    from sklearn.datasets import load_digits  # slow to import, and no other data set needs it

    digits = load_digits()
    labels = digits.target.astype(np.int64)
    images = np.stack([_enlarge(image) for image in digits.images])
    images = np.repeat(images[:, None], 3, axis=1)

    generator = np.random.RandomState(0)
    test = np.concatenate(
        [generator.permutation(np.flatnonzero(labels == label))[:TEST_PER_CLASS] for label in range(len(CLASS_NAMES))]
    )
    in_test = np.zeros(len(labels), dtype=bool)
    in_test[test] = True
    train_images = images[~in_test]
    # four decimals, as CIFAR's constants are given, so that no platform's summation order shows
    mean = round(float(train_images.mean() / 255), 4)
    std = round(float(train_images.std() / 255), 4)
    return ImagePool(
        class_names=CLASS_NAMES,
        train_images=train_images,
        train_labels=labels[~in_test],
        test_images=images[in_test],
        test_labels=labels[in_test],
        mean=(mean, mean, mean),
        std=(std, std, std),
        flip=False,  # a mirrored digit is no digit
        pad=PAD,
    )


def _enlarge(image: np.ndarray) -> np.ndarray:
    """Scale [8, 8] values 0..16 to uint8 0..255 and to [16, 16] bilinearly."""
    scaled = np.rint(image * (255 / 16)).astype(np.uint8)
    return np.asarray(Image.fromarray(scaled).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
