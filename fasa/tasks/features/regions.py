"""Which regions a training step, a validation and a test look at, and what each stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fasa.datasets.lvis_counts import Pairs
from fasa.mmdet.seeding import mixed_seed
from fasa.tasks.features.geometry import EACH, FOREGROUND, ITERATION, PER_PROCESS
from fasa.tasks.features.space import Features


class Observed(NamedTuple):
    """What augmenters see of a step: ``labels``, ``objects`` (number within the class) and ``process``, all ``[n]``.

    Of each class, and where each process has statistics of its own of each class and process, all objects of one
    iteration of the paper: a whole batch of eq 2.
    """

    labels: Tensor
    objects: Tensor
    process: Tensor


class Step(NamedTuple):
    """The objects that a step's loss is of: ``labels``, ``objects`` (number within the class) and ``weights``, ``[n]``.

    A region's weight is its share of the mean loss. Those of a step's objects add up to ``FOREGROUND`` on average.
    """

    labels: Tensor
    objects: Tensor
    weights: Tensor
    observed: Observed


class TrainingImages:
    """The images of an epoch, in steps.

    A step has far more objects of frequent classes than a linear classifier needs to see. Each class is thinned to at
    most ``most`` expected objects a step, and what is left weighs more: the expected gradient stays.

    Args:
        pairs: which classes are in which image.
        repeats: how often each image is shown in an epoch ``[images]``.
        batch: images of a step, over all processes.
        processes: that share a step's images.
        apart: whether each process has statistics of its own.
        most: objects of a class in a step, on average.
        seed: of the order and of what is left out, with the epoch.
    """

    def __init__(
        self,
        pairs: Pairs,
        repeats: np.ndarray,
        batch: int,
        processes: int,
        apart: bool,
        most: float,
        seed: int,
    ) -> None:
        self.pairs, self.batch, self.processes, self.apart, self.seed = pairs, batch, processes, apart, seed
        self.iterations = max(1, batch // ITERATION)  # that a step stands for
        self.repeats = repeats
        self.order = np.repeat(np.arange(pairs.images), repeats)
        self.steps = max(1, len(self.order) // batch)
        shown = pairs.objects * repeats[pairs.image]
        expected = np.bincount(pairs.label, shown) * batch / len(self.order)  # objects of each class in a step
        self.share = torch.as_tensor(expected / expected.sum())  # of each class among the objects shown
        self.kept = np.minimum(1.0, most / np.maximum(expected, 1e-12))
        self.weight = torch.as_tensor(FOREGROUND / EACH / expected.sum() / self.kept, dtype=torch.float32)
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
        place, within = _expanded(start[order + 1] - start[order])  # the image of each pair, by its place in the order
        pair = start[order][place] + within
        step, image = np.divmod(place, self.batch)
        process = image * self.processes // self.batch
        label, objects = self.pairs.label[pair], self.pairs.objects[pair]
        skipped = rng.integers(0, objects)  # of an image's objects, where some are left out

        def regions(count: np.ndarray) -> Iterator[list[Tensor]]:
            """Of each step the labels, objects and processes of so many objects of each pair."""
            row, within = _expanded(count)
            names = self.before[pair][row] + (within + skipped[row]) % objects[row]
            columns = [torch.as_tensor(column) for column in (label[row], names, process[row])]
            sizes = np.bincount(step[row], minlength=self.steps).tolist()
            split = zip(*(column.split(sizes) for column in columns), strict=True)
            return ([torch.cat([part] * EACH) for part in parts] for parts in split)

        shown = regions(rng.binomial(objects, self.kept[label]))
        seen = regions(objects * self._observed(rng, step, image, process, label))
        for (labels, names, _), observed in zip(shown, seen, strict=True):
            yield Step(labels, names, self.weight[labels], Observed(*observed))

    def _observed(
        self, rng: np.random.Generator, step: np.ndarray, image: np.ndarray, process: np.ndarray, label: np.ndarray
    ) -> np.ndarray:
        """Which pairs augmenters see, boolean: of each class, or of it and each process, those of one iteration."""
        owner = (step * self.processes + process * self.apart) * len(self.kept) + label
        batches, batch = np.unique(owner * self.iterations + image % self.iterations, return_inverse=True)
        owner = batches // self.iterations
        by_chance = np.lexsort((rng.random(len(batches)), owner))
        seen = np.zeros(len(batches), dtype=bool)
        seen[by_chance[np.unique(owner[by_chance], return_index=True)[1]]] = True
        return seen[batch]

    def group_weights(self, group: np.ndarray) -> np.ndarray:
        """What a group of classes counts in a step, where a detector's process finds it in fewer steps: ``[G]``.

        The chance that the process's two images have an object of the group, over the chance that a step shows one.

        Args:
            group: of each class ``[C]``, 0 to G - 1.
        """

        def chance(kept: np.ndarray, images: int) -> np.ndarray:
            with np.errstate(divide="ignore"):  # of what is always shown the logarithm is -inf
                hidden = np.log1p(-kept[self.pairs.label]) * self.pairs.objects
            found = []
            for number in range(group.max() + 1):
                own = group[self.pairs.label] == number
                none = np.exp(np.bincount(self.pairs.image[own], hidden[own], self.pairs.images))
                found.append(1 - np.average(none, weights=self.repeats) ** images)
            return np.array(found)

        of_step = chance(self.kept, self.batch)
        return chance(np.ones_like(self.kept), PER_PROCESS) / np.where(of_step > 0, of_step, 1)


def _expanded(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``count [n]`` rows of each of n things: whose each row is, and its number among these."""
    row = np.repeat(np.arange(len(count)), count)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)


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


def held_out(pairs: Pairs, weight: np.ndarray, features: Features, most: float, purpose: str) -> HeldOut:
    """One region of each object of the images, thinned to about ``most`` of a class, and as many of background.

    Args:
        weight: how much each image counts ``[images]``; 0 leaves it out.
        purpose: another one has other regions, and leaves out others.
    """
    rng = np.random.default_rng(mixed_seed(features.seed, purpose))
    label = np.repeat(pairs.label, pairs.objects)
    weights = weight[np.repeat(pairs.image, pairs.objects)]
    there = np.bincount(label, weights > 0, len(features.mean))
    kept = np.minimum(1.0, most / np.maximum(there, 1e-12))[label]
    chosen = (rng.random(len(label)) < kept) & (weights > 0)
    labels, weights, kept = (torch.as_tensor(column[chosen]) for column in (label, weights, kept))
    stands_for = (weights / kept).double()
    features.draw(purpose)
    found = features.of_new_objects(labels)
    beside = torch.multinomial(stands_for, len(labels), replacement=True, generator=features.generator)
    background = features.of_background(labels[beside])
    share = stands_for.sum() * (1 - FOREGROUND) / FOREGROUND / len(labels)
    return HeldOut(
        torch.cat([found, background]),
        torch.cat([labels, torch.full_like(labels, len(features.mean))]),
        torch.cat([stands_for, share.expand(len(labels))]),
    )
