"""Class-aware sampling: every class in turn, and of each class the next of its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from fasa.errors import UserError


@DATA_SAMPLERS.register_module()
class ClassCycleSampler(Sampler[int]):
    """Images in the order of ``class_cycle``, anew each epoch; for decoupled training (eqlv2's cRT: class-aware).

    MMDetection's ``ClassAwareSampler`` does the same but adds epoch and seed, so that epoch 1 of seed 0 is epoch 0 of
    seed 1, and gives each process a stretch of its own, so that the batches of two processes are not those of one.
    Here process r of R takes every R-th image from the r-th on: the union over processes is the order of one.

    Args:
        dataset: with ``get_cat_ids``; images without annotations are never drawn.
        seed: of the run; None: one that all processes agree on.
        samples: images an epoch over all processes; None: as many as the data set has.

    Raises:
        UserError: no image has an annotation.
    """

    def __init__(self, dataset: Any, seed: int | None = None, samples: int | None = None) -> None:
        self.dataset = dataset  # batch samplers by aspect ratio look here
        self.rank, self.processes = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.samples = len(dataset) if samples is None else samples
        self.images = images_of_classes(dataset)
        self.epoch = 0
        if not self.images:
            raise UserError(
                "The training images have no annotations, so no class can be drawn: choose other annotations."
            )

    def __iter__(self) -> Iterator[int]:
        order = class_cycle(self.images, self.samples, self.seed, self.epoch)
        # As many for every process: those that are lacking at the end come from the beginning.
        order = np.resize(order, len(self) * self.processes)
        return iter(order[self.rank :: self.processes].tolist())

    def __len__(self) -> int:
        return ceil(self.samples / self.processes)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, which with the seed is all that the order depends on: a resumed run goes on as it was."""
        self.epoch = epoch


def images_of_classes(dataset: Any) -> list[np.ndarray]:
    """Indices, ascending, of the images of each class that has any, int64, by ascending label."""
    found: dict[int, list[int]] = {}
    for index in range(len(dataset)):
        for label in set(dataset.get_cat_ids(index)):
            found.setdefault(label, []).append(index)
    return [np.array(found[label], np.int64) for label in sorted(found)]


def class_cycle(images: Sequence[np.ndarray], samples: int, seed: int, epoch: int) -> np.ndarray:
    """``samples`` image indices, int64: the classes shuffled, the next image of each, and so on.

    The classes are shuffled again when all were drawn, the images of a class when all of its images were (as in
    TSD's and eqlv2's sampler). With K classes, any class occurs at least ``samples // K`` times.
    """
    rng = np.random.default_rng((seed, epoch))
    rounds = ceil(samples / len(images))
    classes = rng.permuted(np.tile(np.arange(len(images)), (rounds, 1)), axis=1)
    drawn = np.empty((len(images), rounds), np.int64)
    for row, own in zip(drawn, images, strict=True):
        row[:] = rng.permuted(np.tile(own, (ceil(rounds / len(own)), 1)), axis=1).reshape(-1)[:rounds]
    return drawn[classes, np.arange(rounds)[:, None]].reshape(-1)[:samples]
