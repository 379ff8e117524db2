"""Toy networks, teachers and trainees whose every answer is known."""

from __future__ import annotations

import torch
from torch import nn

from fasa.augmenters import Trainee
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


def trainee(counts, *, network=None, head=None, teacher=None, batch=16, images=None) -> Trainee:
    counts = torch.tensor(counts)
    labels = torch.arange(len(counts)).repeat_interleave(counts)
    torch.manual_seed(0)
    images = torch.full((len(labels), 3, 4, 4), 0.5) if images is None else images
    return Trainee(
        network=network or Toy(),
        head=head or LinearHead(4, len(counts)),
        criterion=Criterion(counts),
        normalise=lambda x: x,
        load_images=lambda indices: images[indices],
        labels=labels,
        class_counts=counts,
        feature_dim=4,
        batch=batch,
        generator=seeded(),
        teacher=teacher,
    )
