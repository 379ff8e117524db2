"""The features that stand for a detector's: a class is a Gaussian, an object a place in it, a region beside that."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fasa.mmdet.seeding import mixed_seed
from fasa.tasks.features.geometry import Geometry


class Features:
    """Features of regions by a :class:`Geometry`; another seed is another space.

    Args:
        geometry: of the space.
        instances: objects of each class ``[C]``, at least 1.
        seed: of the run. Nothing else draws from ``generator``, so that runs of one seed see the same regions.
    """

    def __init__(self, geometry: Geometry, instances: np.ndarray, seed: int) -> None:
        self.geometry, self.seed = geometry, seed
        self.generator = torch.Generator()
        self.draw("space")
        classes, dim = len(instances), geometry.dim
        kinds = geometry.between_kinds * self._normal(geometry.kinds, dim)
        kind = torch.randint(geometry.kinds, (classes,), generator=self.generator)
        self.mean = kinds[kind] + geometry.between_classes * self._normal(classes, dim)
        self.spread = geometry.within * (0.6 + 0.8 * torch.rand(classes, dim, generator=self.generator))
        self.remembered = torch.as_tensor(instances).clamp(max=geometry.remembered)
        self.first = self.remembered.cumsum(0) - self.remembered  # each class's first row of the table
        labels = torch.repeat_interleave(torch.arange(classes), self.remembered)
        self.objects = self._new(labels)
        skew = torch.linalg.qr(self._normal(dim, dim))[0]
        skew = skew - skew.T
        self.turned = torch.linalg.matrix_exp(skew * math.sqrt(dim) / skew.norm())
        self.angle = 0.0

    def draw(self, *purpose: object) -> None:
        """Draw from here on what the run's seed and this purpose decide, whatever was drawn before."""
        self.generator.manual_seed(mixed_seed(self.seed, *purpose))

    def at(self, progress: float) -> None:
        """Turn the space to where it is when that share of the training is done; at 1 it is as it was made."""
        early = (1 - math.exp(-4 * progress)) / (1 - math.exp(-4))
        self.angle = self.geometry.drift * (1 - early)

    def of_objects(self, labels: Tensor, objects: Tensor) -> Tensor:
        """A region ``[n, d]`` of each training object, told by its class and its number within it, both ``[n]``."""
        rows = self.first[labels] + objects % self.remembered[labels]
        return self._regions(self.objects[rows], labels)

    def of_new_objects(self, labels: Tensor) -> Tensor:
        """A region ``[n, d]`` of an object that training does not show, of each of ``labels [n]``."""
        return self._regions(self._new(labels), labels)

    def of_background(self, labels: Tensor) -> Tensor:
        """A background region ``[n, d]`` of each of ``labels [n]``; some are beside an object of that class."""
        noise = self.geometry.background * self._normal(len(labels), self.geometry.dim)
        shown = self.geometry.shown
        beside = shown * self._turned(self._new(labels)) + math.sqrt(1 - shown**2) * noise
        chance = torch.rand(len(labels), 1, generator=self.generator)
        return torch.where(chance < self.geometry.beside, beside, noise).relu()

    def _new(self, labels: Tensor) -> Tensor:
        share = math.sqrt(self.geometry.object_share)
        return self.mean[labels] + share * self.spread[labels] * self._normal(len(labels), self.geometry.dim)

    def _regions(self, objects: Tensor, labels: Tensor) -> Tensor:
        share = math.sqrt(1 - self.geometry.object_share)
        return (self._turned(objects) + share * self.spread[labels] * self._normal(*objects.shape)).relu()

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def _turned(self, objects: Tensor) -> Tensor:
        if not self.angle:
            return objects
        return math.cos(self.angle) * objects + math.sin(self.angle) * objects @ self.turned.T
