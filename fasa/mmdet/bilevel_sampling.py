"""Bi-level class-balanced sampling (SimCal, Wang et al., ECCV 2020): first a class, then an image that has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmdet.registry import DATA_SAMPLERS, DATASETS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler

from fasa.errors import UserError


@DATASETS.register_module()
class ClassImagePairs(Dataset):
    """A data set's images, each under each class: item ``class * images + image`` is that image, drawn for that class.

    The data sample carries the class as ``drawn_class`` in its meta information. ``members[class]`` are the images
    (int64, ascending) that have an object of the class which is not to be ignored.

    Args:
        dataset: mmdet's data set of the images, or its config.
    """

    def __init__(self, dataset: dict[str, Any] | Dataset) -> None:
        self.dataset: Any = dataset
        if isinstance(dataset, dict):
            self.dataset = DATASETS.build(dataset)
        self.dataset.full_init()
        classes = len(self.dataset.metainfo["classes"])
        pairs = np.array(
            [
                (label, image)
                for image in range(len(self.dataset))
                for label in sorted(
                    {
                        instance["bbox_label"]
                        for instance in self.dataset.get_data_info(image)["instances"]
                        if not instance.get("ignore_flag")
                    }
                )
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        pairs = pairs[pairs[:, 0].argsort(kind="stable")]
        self.members = np.split(pairs[:, 1], np.searchsorted(pairs[:, 0], np.arange(1, classes)))

    @property
    def metainfo(self) -> dict[str, Any]:
        """The images' data set's."""
        return self.dataset.metainfo

    def __len__(self) -> int:
        return len(self.members) * len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        label, image = divmod(index, len(self.dataset))
        item = self.dataset[image]
        item["data_samples"].set_metainfo({"drawn_class": label})
        return item


@DATA_SAMPLERS.register_module()
class BilevelSampler(Sampler):
    """Each item: a class uniformly among those with an image, with replacement, then one of its images uniformly.

    The order is a function of the seed and the epoch; rank ``r`` of ``w`` takes items ``r``, ``r + w``, …, so that a
    step sees the same images over any number of ranks.

    Args:
        dataset: a :class:`ClassImagePairs`.
        steps: steps of an epoch.
        batch: images of a step over all ranks, divisible by their number.
        seed: None for one that all ranks agree on.

    Raises:
        UserError: another data set, one without objects, or a batch that the ranks cannot share.
    """

    def __init__(self, dataset: ClassImagePairs, steps: int = 1000, batch: int = 16, seed: int | None = None) -> None:
        self.rank, self.ranks = get_dist_info()
        if not isinstance(dataset, ClassImagePairs):
            raise UserError(f"BilevelSampler is given a {type(dataset).__name__}; wrap it in a ClassImagePairs.")
        if batch % self.ranks:
            raise UserError(f"batch of BilevelSampler is {batch}; it must be divisible by the {self.ranks} processes.")
        self.images = len(dataset.dataset)
        self.members = dataset.members
        self.classes = np.flatnonzero([len(images) for images in self.members])
        if not len(self.classes):
            raise UserError("BilevelSampler is given images without any object; check the annotation file.")
        self.items = steps * batch
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Hear of the epoch, counted from 0, that the next order is for."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.items // self.ranks

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        labels = rng.choice(self.classes, self.items)
        shares = rng.random(self.items)
        for label, share in zip(labels[self.rank :: self.ranks], shares[self.rank :: self.ranks], strict=True):
            images = self.members[label]
            yield int(label * self.images + images[int(share * len(images))])
