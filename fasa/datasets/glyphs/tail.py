"""The long tail: LVIS v1's class sizes, scaled to the number of objects in the scenes, and its three groups."""

from __future__ import annotations

import numpy as np

from fasa.errors import UserError

# Natural logarithms of the training instances of LVIS v1's 1,203 classes (1 to 50,552), from the category list of the
# public LVIS API, sorted and read off at 61 equal steps from the first class to the last.
LVIS_LOG_COUNTS = (
    *(0.0, 0.0, 0.0, 0.693, 1.099, 1.099, 1.386, 1.609, 1.792, 2.079, 2.303, 2.398, 2.485, 2.639, 2.708, 2.862),
    *(2.996, 3.091, 3.178, 3.332, 3.497, 3.611, 3.689, 3.807, 3.912, 4.025, 4.111, 4.22, 4.331, 4.442, 4.554, 4.673),
    *(4.771, 4.836, 4.942, 5.051, 5.189, 5.328, 5.435, 5.597, 5.718, 5.809, 6.0, 6.2, 6.339, 6.521, 6.717, 6.88),
    *(7.007, 7.202, 7.411, 7.53, 7.745, 7.916, 8.07, 8.288, 8.44, 8.679, 8.928, 9.145, 10.831),
)
LVIS_GROUPS = {"r": 337, "c": 461, "f": 405}  # classes in at most 10, in at most 100, and in more training images

POWERS = (0.05, 3.0)  # of LVIS's counts: beyond them there is no tail, or nothing else


def log_counts(classes: int) -> np.ndarray:
    """Sorted log instance counts of LVIS v1 [classes], read off in the middle of as many equal parts of its classes."""
    middles = (np.arange(classes) + 0.5) / classes
    return np.interp(middles, np.linspace(0, 1, len(LVIS_LOG_COUNTS)), LVIS_LOG_COUNTS)


def instance_counts(classes: int, total: int) -> np.ndarray:
    """int64 [classes], ascending, of sum ``total``: LVIS's counts ** power, with the power that fits; the rarest has 1.

    So a plot of the logarithms over the ranks is LVIS's, drawn at another height.

    Raises:
        UserError: there are too few objects for every class to have one, or far too many.
    """
    logs = log_counts(classes)

    def excess(power: float) -> float:
        return float(np.exp(power * logs).sum()) - total

    low, high = POWERS
    if excess(low) >= 0 or excess(high) <= 0:
        raise UserError(
            f"glyphs: a tail like LVIS's over {classes} classes cannot be made of {total} training objects: change "
            "train_images, objects or classes."
        )
    for _ in range(60):  # halvings, beyond which a float has no digits left
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    counts = np.rint(np.exp(low * logs)).astype(np.int64)
    counts[-1] += total - counts.sum()  # the largest class takes what rounding left over
    return counts


def frequencies(image_counts: np.ndarray) -> tuple[list[str], tuple[int, int]]:
    """A letter for each class from its number of training images, and the bounds (r: at most, c: at most).

    LVIS's bounds, 10 and 100 of its 100,170 images, mean nothing for other numbers of images. So the bounds are those
    that bring the shares of rare and common classes nearest to LVIS's 337 and 461 of 1,203.

    Raises:
        UserError: all classes are in equally many images.
    """
    values = np.unique(image_counts)
    if len(values) == 1:
        raise UserError(f"glyphs: all {len(image_counts)} classes are in {values[0]} images: raise train_images.")
    shares = np.searchsorted(np.sort(image_counts), values, side="right") / len(image_counts)
    rare, common, frequent = (LVIS_GROUPS[letter] for letter in "rcf")
    whole = rare + common + frequent
    # the largest value stays out of the search, so that some class is frequent
    bounds = [int(values[:-1][np.abs(shares[:-1] - share / whole).argmin()]) for share in (rare, rare + common)]
    letters = ["r" if count <= bounds[0] else "c" if count <= bounds[1] else "f" for count in image_counts.tolist()]
    return letters, (bounds[0], bounds[1])


def repeat_threshold(bounds: tuple[int, int], train_images: int) -> float:
    """The threshold t of repeat-factor sampling that lies where LVIS's 0.001 does: between common and frequent."""
    return bounds[1] / train_images
