"""The interface of every augmenter: five places of a training step where virtual examples can enter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Trainee:
    """What an augmenter may know of the training that it joins.

    Attributes:
        network: images ``[n, 3, H, W]`` (normalised) to maps ``[n, d, h, w]``.
        head: features ``[n, d]`` to logits ``[n, C]``.
        criterion: logits and labels to (losses ``[n]``, weights ``[n]``).
        normalise: images with values in 0..1 to network input.
        load_images: training indices ``[n]`` to uncropped images with values in 0..1.
        labels: labels of all training images, ``[N]``.
        class_counts: training images of each class, ``[C]``.
        feature_dim: ``d``.
        batch: training batch size.
        generator: the run's only source of random numbers.
        teacher: a frozen classifier from an earlier run, normalised images to logits; None if the recipe names none.
    """

    network: nn.Module
    head: nn.Module
    criterion: Callable[[Tensor, Tensor], Any]
    normalise: Callable[[Tensor], Tensor]
    load_images: Callable[[Tensor], Tensor]
    labels: Tensor
    class_counts: Tensor
    feature_dim: int
    batch: int
    generator: torch.Generator
    teacher: nn.Module | None = None


@dataclass
class Validation:
    """Per-class sums over held-out images, each ``[C]``: cross entropy, hits, number of images."""

    loss: Tensor
    correct: Tensor
    count: Tensor


class Augmenter(nn.Module):
    """No augmentation: every hook hands on what it was given. Subclasses override the hooks that they need.

    Its buffers are part of the checkpoint; whatever it derives from the trainee it derives again on resuming.
    """

    #: Whether a step may be captured in a CUDA graph: static shapes, no host-device synchronisation.
    graphable = True

    def __init__(self, trainee: Trainee) -> None:
        super().__init__()

    def begin_epoch(self, epoch: int) -> None:
        """Hear that ``epoch``, counted from 0, begins."""

    def select(self, indices: Tensor) -> Tensor:
        """Choose the training images ``[n]`` of a batch."""
        return indices

    def images(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Change a batch of images ``[n, 3, H, W]``, values in 0..1, and labels ``[n]``."""
        return images, labels

    def features(self, maps: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Turn the network's maps ``[n, d, h, w]`` into the classifier's features ``[m, d]`` and labels ``[m]``."""
        return maps.mean((2, 3)), labels

    def loss(self, features: Tensor, labels: Tensor) -> Tensor | None:
        """A further loss, 0-d, given the batch's features ``[n, d]`` and labels ``[n]``."""
        return None

    def end_epoch(self, validate: Callable[[], Validation]) -> dict[str, Any]:
        """End an epoch; ``validate`` runs the held-out images if called. Returns entries for the run's history."""
        return {}
