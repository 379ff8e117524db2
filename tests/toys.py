"""Toy networks, teachers and trainings whose every answer is known."""

from __future__ import annotations

import torch
from torch import nn

from fasa.augmenters.base import Batch, ImageContext
from fasa.tasks.classification.heads import LinearHead
from fasa.tasks.classification.losses import Criterion


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Toy(nn.Module):
    """3-channel images to 4-channel maps, with statistics that a careless forward pass would move."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, images):
        return self.bn(self.conv(images))


class Oracle(nn.Module):
    """A teacher that gives each class a fixed probability plus what a linear function of the pixels says."""

    def __init__(self, probabilities, sway: float = 0.0) -> None:
        super().__init__()
        self.logits = torch.tensor(probabilities).log()
        self.weight = sway * torch.randn(3 * 16, len(self.logits), generator=seeded(5))

    def forward(self, images):
        return self.logits + images.flatten(1) @ self.weight


def image_context(counts, *, network=None, head=None, teacher=None, batch_size=16, images=None) -> ImageContext:
    counts = torch.tensor(counts)
    labels = torch.arange(len(counts)).repeat_interleave(counts)
    torch.manual_seed(0)
    images = torch.full((len(labels), 3, 4, 4), 0.5) if images is None else images
    network, head, criterion = network or Toy(), head or LinearHead(4, len(counts)), Criterion(counts)
    return ImageContext(
        classifier=head,
        embed=lambda maps: maps.mean((2, 3)),
        criterion=criterion,
        class_counts=counts,
        feature_dim=4,
        generator=seeded(),
        network=network,
        normalise=lambda x: x,
        load_images=lambda indices: images[indices],
        labels=labels,
        batch_size=batch_size,
        class_weights=head.class_weights(),
        unweighted_criterion=criterion.validation,
        teacher=teacher,
    )


def set_static_shapes(monkeypatch, static: bool = True) -> None:
    """Let virtual losses take the branch that a GPU takes, or that of a CPU."""
    for module in ("fasa.method.fasa", "fasa.method.virtual_loss"):
        monkeypatch.setattr(f"{module}.static_shapes", lambda device: static)


def batch_of(features, labels, channels=3) -> Batch:
    """Features ``[n, d]`` as the batch that a training hands to an augmenter; scores are of no interest."""
    return Batch(features[:, :, None, None], features, torch.zeros(len(labels), channels), labels)
