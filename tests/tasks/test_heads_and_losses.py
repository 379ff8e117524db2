"""Classifiers and criteria against sums done by hand and the figures of the papers they come from."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from fasa.method.virtual_loss import mean_loss
from fasa.tasks.classification.heads import CausalHead, CosineHead, LinearHead
from fasa.tasks.classification.losses import Criterion, effective_number_weights

LABELS = torch.tensor([0, 2, 1, 2])
LOGITS = torch.tensor([[0.3, -0.2, 0.9], [0.1, 0.8, -0.5], [-0.7, 0.2, 0.4], [0.0, 0.6, 0.5]])
COUNTS = torch.tensor([100, 20, 5])


def causal(**options) -> CausalHead:
    head = CausalHead(4, 2, **options)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, 4.0, 0.0, 2.0], [0.0, 1.0, 1.0, 0.0]]))
    return head


FEATURE = torch.tensor([[3.0, 4.0, 0.0, 5.0]])  # its halves have the directions (.6, .8) and (0, 1)
GAMMA = 1 / 32


# ---------------------------------------------------------------------------------------------------------- heads
def test_cosine_head_by_hand():
    head = CosineHead(2, 3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, -4.0]]))
    expected = torch.tensor([[0.6, 0.8, -1.0]])
    torch.testing.assert_close(head(torch.tensor([[3.0, 4.0]])), expected)
    torch.testing.assert_close(head(torch.tensor([[30.0, 40.0]])), expected)  # a feature's length plays no part


def test_cosine_head_starts_with_unit_weights_and_has_no_bias():
    head = CosineHead(64, 100)
    torch.testing.assert_close(head.weight.norm(dim=1), torch.ones(100))
    assert [name for name, _ in head.named_parameters()] == ["weight"]
    assert (head.weight < 0).float().mean() == pytest.approx(0.5, abs=0.03)


def test_linear_head_starts_kaiming_normal():
    torch.manual_seed(0)
    head = LinearHead(64, 1000)
    assert float(head.class_weights().detach().std()) == pytest.approx((2 / 64) ** 0.5, rel=0.02)
    assert head.class_weights().shape == (1000, 64)
    assert torch.equal(head.infer(torch.ones(2, 64)), head(torch.ones(2, 64)))


def test_causal_logits_by_hand():
    first = (0.6 * 3 + 0.8 * 4) / (5 + GAMMA) + 2 / (2 + GAMMA)
    second = 0.8 / (1 + GAMMA)
    torch.testing.assert_close(causal()(FEATURE), torch.tensor([[8 * first, 8 * second]]))


def test_causal_constants_are_the_released_ones():
    head = causal()
    assert (head.heads, head.temperature / head.heads, head.gamma, head.alpha) == (2, 8, 0.03125, 1.5)
    bound = 1 / math.sqrt(128)
    weight = CausalHead(128, 200).weight.detach()
    assert float(weight.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)  # uniform


def test_mean_feature_decays_by_mu_and_takes_the_whole_mean():
    head = causal()
    head.observe(torch.tensor([[1.0, 0.0, 2.0, 0.0], [3.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(head.mean_feature, torch.tensor([2.0, 0.0, 1.0, 0.0]))
    head.observe(torch.tensor([[0.0, 5.0, 0.0, 0.0]]))
    torch.testing.assert_close(head.mean_feature, torch.tensor([1.8, 5.0, 0.9, 0.0]))


def test_mean_feature_moves_by_observe_alone_and_keeps_no_gradient():
    head = causal()
    features = FEATURE.clone().requires_grad_()
    head.observe(features)
    before = head.mean_feature.clone()
    head(10 * features).sum().backward()
    head.infer(features)
    assert torch.equal(head.mean_feature, before)
    assert not head.mean_feature.requires_grad
    assert [name for name, _ in head.named_parameters()] == ["weight"]


def test_total_direct_effect_by_hand():
    head = causal()
    head.observe(torch.tensor([[7.0, 0.0, 0.0, 0.1]]))  # directions (1, 0) and (0, 1): cosines .6 and 1
    # x - 1.5 cos c: (.6 - .9, .8) and (0, 1 - 1.5)
    first = (-0.3 * 3 + 0.8 * 4) / (5 + GAMMA) - 0.5 * 2 / (2 + GAMMA)
    second = 0.8 / (1 + GAMMA)
    torch.testing.assert_close(head.infer(FEATURE), torch.tensor([[8 * first, 8 * second]]))


def test_alpha_one_removes_exactly_the_projection():
    head = causal(alpha=1.0)
    head.observe(torch.tensor([[7.0, 0.0, 0.0, 0.1]]))
    expected = torch.tensor([[8 * 0.8 * 4 / (5 + GAMMA), 8 * 0.8 / (1 + GAMMA)]])  # what is left: (0, .8) and (0, 0)
    torch.testing.assert_close(head.infer(FEATURE), expected)
    along = torch.tensor([[2.0, 0.0, 0.0, 9.0]])  # both halves lie on the mean direction
    torch.testing.assert_close(head.infer(along), torch.zeros(1, 2))


def test_alpha_zero_and_an_unset_mean_give_the_training_logits():
    plain, unset = causal(alpha=0.0), causal()
    plain.observe(torch.tensor([[7.0, 1.0, 0.5, 0.1]]))
    assert torch.equal(plain.infer(FEATURE), plain(FEATURE))
    assert torch.equal(unset.infer(FEATURE), unset(FEATURE))


# --------------------------------------------------------------------------------------------------------- losses
def test_ldam_margins_on_cifar_lt(cifar_counts):
    margins = Criterion(cifar_counts, logit_scale=30, margin=0.5).margins
    assert cifar_counts.sum() == 10_847
    assert float(margins[0]) == pytest.approx(0.5 * (5 / 500) ** 0.25, rel=1e-6)
    assert round(float(margins[0]), 3) == 0.158
    assert float(margins[-1]) == float(margins.max()) == 0.5


def test_ldam_takes_the_margin_off_the_true_class_only():
    criterion = Criterion(COUNTS, logit_scale=30, margin=0.5)
    losses, weights = criterion(LOGITS, LABELS)
    for n, label in enumerate(LABELS.tolist()):
        shifted = LOGITS[n].double().clone()
        shifted[label] -= 0.5 * (5 / int(COUNTS[label])) ** 0.25
        expected = -(30 * shifted).log_softmax(0)[label]
        assert float(losses[n]) == pytest.approx(float(expected), rel=1e-5)
    assert torch.equal(weights, torch.ones(4))


@pytest.mark.parametrize(("beta", "head", "tail"), [(0.9999, 0.045, 4.38), (0.999, 0.055, 4.34)])
def test_deferred_weights_on_cifar_lt(cifar_counts, beta, head, tail):
    weights = effective_number_weights(cifar_counts, beta)
    assert round(float(weights[0]), 3) == head
    assert round(float(weights[-1]), 2) == tail
    assert float(weights.sum()) == pytest.approx(100, rel=1e-6)


def test_without_beta_all_weights_are_one(cifar_counts):
    assert torch.equal(effective_number_weights(cifar_counts, 0.0), torch.ones(100))


def test_re_weighting_waits_for_its_epoch():
    criterion = Criterion(COUNTS, drw_beta=0.9999, drw_epoch=160)
    for epoch in (0, 159):
        criterion.begin_epoch(epoch)
        assert torch.equal(criterion.class_weights, torch.ones(3))
    for epoch in (160, 199):
        criterion.begin_epoch(epoch)
        assert torch.equal(criterion.class_weights, effective_number_weights(COUNTS, 0.9999))
    criterion.begin_epoch(3)  # a resumed run may go back
    assert torch.equal(criterion.class_weights, torch.ones(3))


def test_the_weighted_mean_is_torchs():
    criterion = Criterion(COUNTS, drw_beta=0.999, drw_epoch=0)
    criterion.begin_epoch(0)
    ours = mean_loss(criterion(LOGITS, LABELS))
    torchs = functional.cross_entropy(LOGITS, LABELS, weight=effective_number_weights(COUNTS, 0.999))
    torch.testing.assert_close(ours, torchs)
    assert abs(ours - functional.cross_entropy(LOGITS, LABELS)) > 0.01


def test_balanced_softmax_adds_the_log_counts():
    losses, _ = Criterion(COUNTS, prior=1.0)(LOGITS, LABELS)
    weighted = LOGITS.exp() * COUNTS
    expected = -(weighted.gather(1, LABELS[:, None]).squeeze(1) / weighted.sum(1)).log()
    torch.testing.assert_close(losses, expected)


def test_validation_knows_no_margin_prior_or_weight():
    criterion = Criterion(COUNTS, logit_scale=30, margin=0.5, prior=1.0, drw_beta=0.9999, drw_epoch=0)
    criterion.begin_epoch(0)
    expected = functional.cross_entropy(30 * LOGITS, LABELS, reduction="none")
    torch.testing.assert_close(criterion.validation(LOGITS, LABELS), expected)
