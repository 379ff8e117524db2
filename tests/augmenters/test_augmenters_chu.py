"""Feature space augmentation: which classes, which images, which positions."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toys import image_context

from fasa.augmenters.chu import Chu, mean_softmax, tail_classes
from fasa.tasks.classification.heads import LinearHead


def test_tail_of_cifar_lt(cifar_counts):
    tail = tail_classes(cifar_counts, 0.9)
    assert torch.equal(tail, torch.arange(100) >= 48)
    assert int(cifar_counts[tail].sum()) == 1_050
    assert int(cifar_counts[tail].max()) == 53


def test_tail_follows_sizes_not_class_order():
    assert tail_classes(torch.tensor([5, 60, 3, 32]), 0.9).tolist() == [True, False, True, False]


def test_confusing_classes_are_those_that_a_classes_images_look_like():
    """Images of 0 look like 2, of 1 like 0, of 2 like 1; read by columns, 0 would be given 1."""
    colours = torch.tensor([[0.9, 0.1, 0.8], [0.8, 0.9, 0.1], [0.1, 0.8, 0.9]])
    head = LinearHead(3, 3)
    with torch.no_grad():
        head.fc.weight.copy_(5 * torch.eye(3))
        head.fc.bias.zero_()
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] * 2)
    images = colours[labels][:, :, None, None].expand(-1, -1, 4, 4)
    t = image_context([6, 3, 2], network=nn.Identity(), head=head, images=images)
    torch.testing.assert_close(mean_softmax(t), (5 * colours).softmax(1))
    assert Chu(t, confusing=1)._confusing.tolist() == [[2], [0], [1]]
    assert Chu(t, confusing=7)._confusing.shape == (3, 2)  # never the class itself


CHU_COUNTS = [500, 300, 100, 20, 15, 10, 8, 5]  # .9 of 958 images: classes 0 to 2
POSITIONS = 16


class Blank(nn.Module):
    """Any images to maps of zeros."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, images):
        return torch.zeros(len(images), self.dim, 4, 4)


def chu(dim: int, **options) -> Chu:
    head = LinearHead(dim, 8)
    t = image_context(CHU_COUNTS, network=Blank(dim), head=head, batch_size=128, images=torch.zeros(958, 3, 1, 1))
    return Chu(t, **options)


def test_chu_batches_are_tail_partners_head():
    augmenter = chu(4)
    labels = augmenter._labels
    indices = augmenter.select(torch.arange(128))
    assert len(indices) == 128
    tail, partners, head = labels[indices].split([16, 48, 64])
    assert (tail >= 3).all()
    assert (head < 3).all()
    for n, partner in enumerate(partners.tolist()):
        assert partner in augmenter._confusing[tail[n // 3]].tolist()
    assert len(set(partners.tolist())) > 3
    assert augmenter._confusing.shape == (8, 3)


def test_chu_features_mix_own_specific_and_the_partners_generic_positions():
    """Every position of every map is its own basis vector: a feature spells out which positions it is the mean of."""
    dim = 128 * POSITIONS
    augmenter = chu(dim)
    labels = augmenter._labels[augmenter.select(torch.arange(128))]
    maps = torch.eye(dim).reshape(128, POSITIONS, dim).transpose(1, 2).reshape(128, dim, 4, 4)
    features, made = augmenter.synthesise(maps, labels)

    raw = augmenter._class_weights[labels].reshape(128, 128, POSITIONS)[torch.arange(128), torch.arange(128)]
    low, high = raw.amin(1, keepdim=True), raw.amax(1, keepdim=True)
    activation = (raw - low) / (high - low)
    specific, generic = activation >= 0.3, activation <= 0.6
    owned = []
    for n in range(48):
        own, partner = n // 3, 16 + n
        parts = features[16 + n].reshape(128, POSITIONS)
        allowed = torch.zeros(128, POSITIONS, dtype=torch.bool)
        allowed[own], allowed[partner] = specific[own], generic[partner]
        assert (parts[~allowed] == 0).all()
        assert (parts >= 0).all()
        assert float(parts.sum()) == pytest.approx(1)
        owned.append(float(parts[own].sum()))
    assert min(owned) < 0.25
    assert max(owned) > 0.75
    assert torch.equal(made, torch.cat([labels[:16], labels[:16].repeat_interleave(3), labels[64:]]))
    torch.testing.assert_close(features[:16], maps[:16].mean((2, 3)))
    torch.testing.assert_close(features[64:], maps[64:].mean((2, 3)))


def test_chu_survives_flat_maps():
    augmenter = chu(4)
    labels = augmenter._labels[augmenter.select(torch.arange(128))]
    features, made = augmenter.synthesise(torch.ones(128, 4, 4, 4), labels)
    torch.testing.assert_close(features, torch.ones(128, 4))
    assert len(made) == 128


def test_chu_remembers_phase_ones_classifier():
    augmenter = chu(4)
    before = augmenter._class_weights.clone()
    assert not augmenter._class_weights.requires_grad
    t = image_context(CHU_COUNTS, network=Blank(4), head=LinearHead(4, 8), images=torch.zeros(958, 3, 1, 1))
    later = Chu(t)
    with torch.no_grad():
        t.classifier.fc.weight.add_(1)
    assert torch.equal(later._class_weights, before)  # both heads began from the same seed
