"""MoEx's exchange of moments."""

from __future__ import annotations

import pytest
import torch
from toys import image_context, seeded

from fasa.augmenters.base import Batch
from fasa.augmenters.moex import MoEx, exchange_moments, random_partners


def test_by_hand():
    """Two channels at one position: (1, 3) has mean 2, deviation sqrt 2; (10, 20) mean 15, deviation sqrt 50."""
    maps = torch.tensor([[1.0, 3.0], [10.0, 20.0]])[:, :, None, None]
    made = exchange_moments(maps, torch.tensor([1, 0]), epsilon=0.0)
    assert made[0].flatten().tolist() == pytest.approx([10, 20])
    assert made[1].flatten().tolist() == pytest.approx([1, 3])
    # With epsilon the deviations are sqrt 2.5 and sqrt 50.5: 2 -> 15, and 1 of them away becomes sqrt 50.5 / sqrt 2.5.
    made = exchange_moments(maps, torch.tensor([1, 0]), epsilon=0.5)
    assert made[0].flatten().tolist() == pytest.approx([15 - (50.5 / 2.5) ** 0.5, 15 + (50.5 / 2.5) ** 0.5])


def test_each_position_gets_its_partners_moments_and_keeps_its_shape():
    maps = torch.randn(5, 16, 3, 3, generator=seeded()).relu()
    partners = torch.tensor([1, 2, 3, 4, 0])
    made = exchange_moments(maps, partners, epsilon=1e-12)
    torch.testing.assert_close(made.mean(1), maps[partners].mean(1))
    torch.testing.assert_close(made.std(1), maps[partners].std(1))
    shape, own = ((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True) for x in (made, maps))
    torch.testing.assert_close(shape, own)


def test_ones_own_moments_change_nothing_and_flat_maps_stay_finite():
    maps = torch.randn(4, 8, 2, 2, generator=seeded())
    torch.testing.assert_close(exchange_moments(maps, torch.arange(4)), maps)
    assert exchange_moments(torch.zeros(2, 8, 2, 2), torch.tensor([1, 0])).isfinite().all()


def test_partners_are_a_permutation():
    assert sorted(random_partners(7, seeded()).tolist()) == list(range(7))


def test_a_classifiers_batch_is_mixed_like_a_detectors(monkeypatch):
    """Three images and one of no class of ours: 0 gets the moments and the label of 1, 1 those of 2, 2 those of 0."""
    partners = torch.tensor([1, 2, 0])
    monkeypatch.setattr("fasa.augmenters.moex.random_partners", lambda *_: partners)
    context = image_context([5, 4, 3])
    maps, labels = torch.rand(4, 4, 2, 2, generator=seeded()), torch.tensor([0, 2, 1, 3])
    features = context.embed(maps)
    scores, targets = MoEx(context, own=0.75).mix(Batch(maps, features, context.classifier(features), labels))
    exchanged = torch.cat([exchange_moments(maps[:3], partners), maps[3:]])
    torch.testing.assert_close(scores, context.classifier(context.embed(exchanged)))
    assert torch.equal(targets.labels, labels)
    assert targets.others.tolist() == [2, 1, 0, 3]
    assert targets.own == 0.75


def test_its_random_numbers_are_the_runs():
    context = image_context([5, 4, 3])
    batch = Batch(torch.rand(3, 4, 2, 2), torch.rand(3, 4), torch.rand(3, 3), torch.tensor([0, 1, 2]))
    half = MoEx(context, probability=0.5)
    mixed = [half.mix(batch) is not None for _ in range(40)]
    assert 8 < sum(mixed) < 32
    context.generator.manual_seed(0)
    assert [half.mix(batch) is not None for _ in range(40)] == mixed
