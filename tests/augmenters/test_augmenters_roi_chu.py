"""Feature space augmentation on the maps of RoIs: which RoIs, which positions."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from fasa.augmenters.base import RoIContext
from fasa.augmenters.roi_chu import RoIChu, class_activation

CLASSES, DIM, SIDE = 5, 8, 3


def maps_of(n: int = 6, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, DIM, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


class Sum(nn.Module):
    """Every class's logit is the sum of a map."""

    def forward(self, features):
        return features.sum(1, keepdim=True).expand(-1, 3)


def roi_chu(**options) -> RoIChu:
    context = RoIContext(
        classifier=Sum(),
        embed=lambda maps: maps.flatten(1),
        criterion=functional.cross_entropy,
        class_counts=torch.tensor([90, 9, 1]),
        feature_dim=DIM * SIDE * SIDE,
        class_probabilities=lambda logits: logits.softmax(1),
    )
    return RoIChu(context, **options)


def test_activation_is_the_class_activation_map_of_a_linear_classifier():
    maps, weights, labels = maps_of(4), torch.randn(CLASSES, DIM), torch.tensor([0, 3, 3, 1])
    raw = torch.einsum("nd,ndhw->nhw", weights[labels], maps)
    low, high = raw.amin((1, 2), keepdim=True), raw.amax((1, 2), keepdim=True)
    got = class_activation(maps, labels, lambda x: x.mean((2, 3)) @ weights.T)
    torch.testing.assert_close(got, (raw - low) / (high - low))


def line(*activation: float) -> torch.Tensor:
    """Maps of one channel on a line whose activation under :class:`Sum` is as given."""
    return torch.tensor(activation)[None, None, None]


def test_chu_takes_generic_positions_of_the_confusing_roi_where_the_tail_roi_is_not_specific():
    """Tail class 2 is taken for 0, not for 1. Positions differ in which of the two parts they are."""
    augmenter = roi_chu(confusing=1, per_roi=2, start_epoch=0)
    assert augmenter.tail.tolist() == [False, True, True]
    maps = torch.cat([line(1.0, 0.0, 0.7, 0.55, 0.5), line(1.0, 0.35, 0.2, 0.25, 0.0), line(0.9, 0.9, 0.9, 0.9, 0.9)])
    labels = torch.tensor([0, 2, 3])
    probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.3, 0.2, 0.5], [0.1, 0.1, 0.1]])
    made, names = augmenter.synthesise(maps, labels, probabilities)
    assert names.tolist() == [2, 2]
    # 0 and 1 are specific in the tail RoI; of the others, 3 and 4 are generic in its partner, 2 is not.
    assert made[0].flatten().tolist() == pytest.approx([1.0, 0.35, 0.2, 0.55, 0.5])
    assert torch.equal(made[0], made[1])


def test_chu_skips_what_has_no_confusing_roi_in_the_batch():
    augmenter = roi_chu(confusing=1, start_epoch=0)
    probabilities = torch.tensor([[0.1, 0.4, 0.5], [0.1, 0.3, 0.6]])
    made, names = augmenter.synthesise(maps_of(2), torch.tensor([2, 2]), probabilities)
    assert (len(made), len(names)) == (0, 0)
    made, names = augmenter.synthesise(maps_of(2), torch.tensor([3, 3]), probabilities)  # background alone
    assert len(names) == 0


def test_chu_waits_for_its_epoch_but_looks_on():
    augmenter = roi_chu(confusing=2, per_roi=1)
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.2, 0.5]])
    labels = torch.tensor([0, 2])
    assert len(augmenter.synthesise(maps_of(2), labels, probabilities)[1]) == 0
    assert torch.equal(augmenter.confusion[[0, 2]], probabilities)
    augmenter.begin_epoch(1)
    later = torch.tensor([[0.5, 0.4, 0.1], [0.3, 0.2, 0.5]])
    seen = sum(len(augmenter.synthesise(maps_of(2), labels, later)[1]) for _ in range(40))
    assert 8 < seen < 32  # class 2 is taken for 0, which is there, and for 1, which is not
    assert augmenter.observations.tolist() == [41, 0, 41]
