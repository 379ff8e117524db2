"""Which regions a training step, a validation and a test look at, and what each stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fasa.datasets.lvis_counts import Pairs
from fasa.mmdet.seeding import random_state
from fasa.tasks.features.space import Features

EACH = 2  # regions of an object in a step, as several proposals cover it
HELD_OUT = 1 << 20  # in the seed of what is held out, in place of an epoch's number
FOREGROUND = 0.2  # share of a step's regions that are of objects; a detector's sampler takes at most a quarter


class Step(NamedTuple):
    """The objects of a step: ``labels``, ``objects`` (number within the class), ``process`` and ``weights``, all [n].

    A region's weight is its share of the mean loss. Those of a step's objects add up to ``FOREGROUND`` on average.
    """

    labels: Tensor
    objects: Tensor
    process: Tensor
    weights: Tensor


class TrainingImages:
    """The images of an epoch, in steps.

    A step has far more objects of frequent classes than a linear classifier needs to see. Each class is thinned to at
    most ``most`` expected objects a step, and what is left weighs more: the expected gradient stays.

    Args:
        pairs: which classes are in which image.
        repeats: how often each image is shown in an epoch ``[images]``.
        batch: images of a step, over all processes.
        processes: that share a step's images.
        most: objects of a class in a step, on average.
        seed: of the order and of what is left out, with the epoch.
    """

    def __init__(self, pairs: Pairs, repeats: np.ndarray, batch: int, processes: int, most: float, seed: int) -> None:
        self.pairs, self.batch, self.processes, self.seed = pairs, batch, processes, seed
        self.order = np.repeat(np.arange(pairs.images), repeats)
        self.steps = max(1, len(self.order) // batch)
        shown = pairs.objects * repeats[pairs.image]
        expected = np.bincount(pairs.label, shown) * batch / len(self.order)  # objects of each class in a step
        self.share = torch.as_tensor(expected / expected.sum())  # of each class among the objects shown
        self.kept = np.minimum(1.0, most / np.maximum(expected, 1e-12))
        self.weight = FOREGROUND / EACH / expected.sum() / self.kept
        before = np.zeros_like(pairs.objects)  # objects of the class in earlier images: an object's number begins there
        by_class = np.argsort(pairs.label, kind="stable")
        running = np.cumsum(pairs.objects[by_class]) - pairs.objects[by_class]
        starts = np.searchsorted(pairs.label[by_class], np.arange(len(expected)))
        before[by_class] = running - running[np.minimum(starts, len(running) - 1)][pairs.label[by_class]]
        self.before = before

    def epoch(self, number: int) -> Iterator[Step]:
        """The steps of epoch ``number``."""
        rng = np.random.default_rng((self.seed, number))
        order = rng.permutation(self.order)[: self.steps * self.batch]
        start = self.pairs.start
        sizes = start[order + 1] - start[order]
        place = np.repeat(np.arange(len(order)), sizes)  # of the image that each pair is in
        pair = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + start[order][place]
        label = self.pairs.label[pair]
        number_kept = rng.binomial(self.pairs.objects[pair], self.kept[label])
        row = np.repeat(np.arange(len(pair)), number_kept)
        within = np.arange(len(row)) - np.repeat(np.cumsum(number_kept) - number_kept, number_kept)
        skipped = rng.integers(0, self.pairs.objects[pair])  # which of an image's objects they are
        objects = self.before[pair][row] + (within + skipped[row]) % self.pairs.objects[pair][row]
        image = place[row]
        columns = label[row], objects, image % self.batch * self.processes // self.batch
        labels, numbers, process = (torch.as_tensor(column) for column in columns)
        weights = torch.as_tensor(self.weight[label[row]], dtype=torch.float32)
        ends = np.searchsorted(image, np.arange(1, self.steps + 1) * self.batch)
        begin = 0
        for end in ends.tolist():
            part = slice(begin, end)
            yield Step(*(torch.cat([column[part]] * EACH) for column in (labels, numbers, process, weights)))
            begin = end


def repeat_factors(pairs: Pairs, threshold: float) -> np.ndarray:
    """How often each image is shown ``[images]``, float: the largest of its classes' ``max(1, sqrt(t / f_c))``.

    ``f_c`` is the share of the images that have the class (Gupta et al., LVIS, CVPR 2019, section 5).
    """
    share = np.bincount(pairs.label) / pairs.images
    factor = np.maximum(1.0, np.sqrt(threshold / np.maximum(share, 1e-12)))
    repeats = np.ones(pairs.images)
    np.maximum.at(repeats, pairs.image, factor[pairs.label])
    return repeats


class HeldOut(NamedTuple):
    """Held-out regions: ``features [n, d]``, ``labels [n]`` (C is background) and how many each stands for ``[n]``."""

    features: Tensor
    labels: Tensor
    weights: Tensor


def held_out(pairs: Pairs, weight: np.ndarray, features: Features, most: float, seed: int) -> HeldOut:
    """One region of each object of the images, thinned to about ``most`` of a class, and as many of background.

    Args:
        weight: how much each image counts ``[images]``; 0 leaves it out.
        seed: of what is left out, and of the regions.
    """
    rng = np.random.default_rng((seed, HELD_OUT))
    label = np.repeat(pairs.label, pairs.objects)
    weights = weight[np.repeat(pairs.image, pairs.objects)]
    there = np.bincount(label, weights > 0, len(features.mean))
    kept = np.minimum(1.0, most / np.maximum(there, 1e-12))[label]
    chosen = (rng.random(len(label)) < kept) & (weights > 0)
    labels, weights, kept = (torch.as_tensor(column[chosen]) for column in (label, weights, kept))
    with random_state(seed + HELD_OUT):  # other regions than those of the test
        stands_for = (weights / kept).double()
        found, beside = features.of_new_objects(labels), torch.multinomial(stands_for, len(labels), replacement=True)
        background = features.of_background(labels[beside])
    share = stands_for.sum() * (1 - FOREGROUND) / FOREGROUND / len(labels)
    return HeldOut(
        torch.cat([found, background]),
        torch.cat([labels, torch.full_like(labels, len(features.mean))]),
        torch.cat([stands_for, share.expand(len(labels))]),
    )
