"""The module's loss: order, gates, gradients, the protocols of a criterion, both shapes of the draw."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from toys import set_static_shapes

import fasa as package
from fasa import FASA, fasa_paper, fasa_released
from fasa.method.virtual_loss import VirtualLoss, total_loss

CLASSES, DIM = 6, 5


def per_example(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, reduction="none")


CLASS_WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 4.0, 0.0, 3.0])


def weighted_pair(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return per_example(logits, labels), CLASS_WEIGHTS.to(logits)[labels]


PROTOCOLS = {
    "per example": per_example,
    "losses and weights": weighted_pair,
    "mean": functional.cross_entropy,
    "weighted mean": lambda logits, labels: functional.cross_entropy(logits, labels, CLASS_WEIGHTS.to(logits)),
}


def trained(draws_per_step: float = 3.0, epochs: int = 1, seed: int = 0, **options) -> FASA:
    """A module that has seen all classes, past its start epoch, with random numbers of its own."""
    fasa = FASA(
        [8, 4, 2, 2, 1, 1],
        DIM,
        draws_per_step=draws_per_step,
        adaptive=False,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )
    features = torch.randn(24, DIM, generator=torch.Generator().manual_seed(9))
    fasa.observe(features, torch.arange(24) % CLASSES)
    for _ in range(epochs):
        fasa.adapt()
    return fasa


@pytest.fixture
def classifier() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(DIM, CLASSES)


@pytest.fixture
def same_noise(monkeypatch):
    """A virtual feature that depends on its class's statistics alone, so that both branches make the same."""
    monkeypatch.setattr(
        "fasa.method.fasa.generate", lambda mean, variance, _: mean + variance.sqrt() * (1e3 * mean).sin()
    )


@pytest.fixture
def static_shapes(monkeypatch):
    """The branch that a GPU takes."""
    set_static_shapes(monkeypatch)


def test_the_package_gives_the_module():
    assert package.FASA is FASA
    assert fasa_paper == {}
    assert set(fasa_released) == {"grouping", "reduction", "global_statistics"}
    assert FASA([1, 2], 3, **fasa_released).reduction == "share_sum"


def test_a_class_first_seen_in_a_step_may_be_drawn_in_it(classifier):
    fasa = FASA([1] * CLASSES, DIM, draws_per_step=100, start_epoch=0)
    assert fasa.sample()[1].tolist() == []
    feature = torch.randn(1, DIM)
    fasa.observe(feature, torch.tensor([3]))
    features, labels = fasa.sample()
    assert labels.tolist() == [3]
    assert torch.equal(features, feature)
    expected = 0.1 * functional.cross_entropy(classifier(feature), labels)
    torch.testing.assert_close(fasa.loss(classifier, per_example), expected)


def test_a_step_draws_at_most_one_virtual_feature_of_a_class():
    labels = trained(draws_per_step=1e6).sample()[1]
    assert labels.tolist() == list(range(CLASSES))


def forbidden(*_: Tensor) -> Tensor:
    raise AssertionError("called although there is nothing to do")


@pytest.mark.parametrize("silence", ["epoch 0", "evaluation", "no draw", "nothing seen"])
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_virtual_features_the_total_loss_is_the_baselines(silence, static, protocol, classifier, monkeypatch):
    set_static_shapes(monkeypatch, static)
    fasa = trained(draws_per_step=0.0 if silence == "no draw" else 100, epochs=int(silence != "epoch 0"))
    fasa.train(silence != "evaluation")
    if silence == "nothing seen":
        fasa.observations.zero_()
    real = functional.cross_entropy(classifier(torch.randn(7, DIM)), torch.arange(7) % CLASSES)
    (expected,) = torch.autograd.grad(real, classifier.weight, retain_graph=True)
    total = real + fasa.loss(classifier, PROTOCOLS[protocol])
    assert total.item() == real.item()
    total.backward()
    assert torch.equal(classifier.weight.grad, expected)


def test_without_virtual_features_neither_classifier_nor_criterion_is_called():
    for fasa in (trained(epochs=0), trained(draws_per_step=0), trained().eval()):
        assert fasa.loss(forbidden, forbidden) == 0


@pytest.mark.parametrize("start", [0, 2])
def test_the_start_epoch(start, classifier):
    fasa = trained(draws_per_step=100, epochs=0, start_epoch=start)
    for epoch in range(4):
        assert (fasa.loss(classifier, per_example) > 0) == (epoch >= start)
        fasa.adapt()


@pytest.mark.parametrize("static", [False, True])
def test_only_the_classifier_receives_a_gradient(static, monkeypatch):
    set_static_shapes(monkeypatch, static)
    backbone, classifier = nn.Linear(3, DIM), nn.Linear(DIM, CLASSES)
    fasa = FASA([1] * CLASSES, DIM, draws_per_step=100, start_epoch=0)
    fasa.observe(backbone(torch.randn(12, 3)), torch.arange(12) % CLASSES)
    fasa.loss(classifier, per_example).backward()
    assert backbone.weight.grad is None
    assert classifier.weight.grad.abs().sum() > 0
    assert classifier.bias.grad.abs().sum() > 0
    assert not any(buffer.requires_grad for buffer in fasa.buffers())
    assert list(fasa.parameters()) == []


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("protocol", ["per example", "mean"])
def test_copies_of_a_virtual_feature_weigh_as_one(static, protocol, monkeypatch):
    set_static_shapes(monkeypatch, static)
    feature = torch.randn(1, DIM)
    scores = nn.Linear(DIM, 1)

    def alike(features: Tensor) -> Tensor:  # classes without a difference, so that the copies' losses are one number
        return torch.cat([scores(features), scores(features).expand(-1, CLASSES - 1)], 1)

    losses = []
    for copies in (1, 4):
        fasa = FASA([1] * CLASSES, DIM, draws_per_step=100, start_epoch=0)
        fasa.observe(feature.repeat(copies, 1), torch.arange(copies))
        losses.append(fasa.loss(alike, PROTOCOLS[protocol]).item())
    assert losses == pytest.approx([0.1 * math.log(CLASSES)] * 2)


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_the_loss_is_the_weighted_mean_over_the_draw(weight, classifier):
    one, other = trained(loss_weight=weight), trained(loss_weight=weight)
    features, labels = other.sample()
    assert len(labels) > 1
    losses = per_example(classifier(features), labels)
    torch.testing.assert_close(one.loss(classifier, per_example), weight * losses.mean())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_static_shapes_equal_the_ragged_ones(protocol, classifier, same_noise, monkeypatch):
    several = 0
    for seed in range(12):
        drawn = trained(seed=seed).sample()[1]
        if not CLASS_WEIGHTS[drawn].any():
            continue
        several += 1 < len(drawn) < CLASSES
        values, gradients = [], []
        for static in (False, True):
            with monkeypatch.context() as patch:
                set_static_shapes(patch, static)
                loss = trained(seed=seed).loss(classifier, PROTOCOLS[protocol])
            values.append(loss.detach())
            gradients.append(torch.autograd.grad(loss, classifier.weight)[0])
        torch.testing.assert_close(values[1], values[0])
        torch.testing.assert_close(gradients[1], gradients[0])
    assert several > 3


def test_a_joint_mean_by_hand():
    fasa = VirtualLoss(torch.tensor(6.0), torch.tensor(2.0))  # losses 2 and 4
    assert fasa.joined(torch.tensor(1.0), torch.tensor(4)) == pytest.approx((4 + 6) / (4 + 2))
    assert total_loss(torch.tensor(1.0), torch.tensor(4), fasa) == pytest.approx(10 / 6)
    assert total_loss(torch.tensor(1.0), torch.tensor(4), torch.tensor(0.25)) == 1.25
    assert total_loss(torch.tensor(1.0), torch.tensor(4), None) == 1
    assert fasa.joined(torch.tensor(0.0), torch.tensor(0)) == 3  # no real example


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("protocol", ["per example", "losses and weights"])
def test_a_joint_mean_is_the_mean_over_the_real_and_the_virtual_batch(
    protocol, static, classifier, same_noise, monkeypatch
):
    with monkeypatch.context() as patch:
        set_static_shapes(patch, False)
        virtual, drawn = trained().sample()
    features, labels = torch.randn(7, DIM), torch.arange(7) % CLASSES
    criterion = PROTOCOLS[protocol]

    def mean(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        result = criterion(classifier(features), labels)
        losses, weights = result if isinstance(result, tuple) else (result, torch.ones_like(result))
        return (losses * weights).sum() / weights.sum(), weights.sum()

    assert len(drawn) > 1
    expected, _ = mean(torch.cat([features, virtual]), torch.cat([labels, drawn]))
    set_static_shapes(monkeypatch, static)
    joint = trained(loss_weight=7.0).weighted_loss(classifier, criterion).joined(*mean(features, labels))
    torch.testing.assert_close(joint, expected)
    gradients = [torch.autograd.grad(loss, classifier.weight)[0] for loss in (joint, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("silence", ["epoch 0", "evaluation", "no draw"])
@pytest.mark.parametrize("static", [False, True])
def test_without_virtual_features_a_joint_mean_is_the_baselines(silence, static, classifier, monkeypatch):
    set_static_shapes(monkeypatch, static)
    fasa = trained(draws_per_step=0.0 if silence == "no draw" else 100, epochs=int(silence != "epoch 0"))
    fasa.train(silence != "evaluation")
    real = functional.cross_entropy(classifier(torch.randn(7, DIM)), torch.arange(7) % CLASSES)
    (expected,) = torch.autograd.grad(real, classifier.weight, retain_graph=True)
    joint = fasa.weighted_loss(classifier, weighted_pair).joined(real, torch.tensor(7))
    assert joint.item() == real.item()
    joint.backward()
    assert torch.equal(classifier.weight.grad, expected)


@pytest.mark.parametrize("static", [False, True])
def test_a_criterion_that_averages_by_itself_has_no_place_in_a_joint_mean(static, classifier, monkeypatch):
    set_static_shapes(monkeypatch, static)
    with pytest.raises(ValueError, match=r"one mean over real and virtual examples .* needs the loss of each"):
        trained().weighted_loss(classifier, functional.cross_entropy)


def test_a_weighted_mean_by_torch_and_by_a_pair_are_one(classifier, same_noise):
    pair = trained().loss(classifier, weighted_pair)
    torch.testing.assert_close(pair, trained().loss(classifier, PROTOCOLS["weighted mean"]))


@pytest.mark.parametrize("static", [False, True])
def test_a_draw_that_weighs_nothing_gives_no_loss(static, classifier, monkeypatch):
    set_static_shapes(monkeypatch, static)
    fasa = trained()
    fasa.probabilities.copy_(torch.eye(CLASSES)[4])  # the class of weight 0
    assert fasa.loss(classifier, weighted_pair) == 0


@pytest.mark.parametrize("protocol", ["per example", "losses and weights"])
def test_a_loss_that_is_not_finite_counts_only_if_drawn(protocol, classifier, static_shapes):
    fasa = trained()
    fasa.probabilities.copy_(torch.tensor([0.0, 1, 0, 1, 0, 0]))

    def criterion(logits: Tensor, labels: Tensor):
        result = PROTOCOLS[protocol](logits, labels)
        endless = torch.where(labels == 2, math.inf, 0)
        return (result[0] + endless, result[1]) if isinstance(result, tuple) else result + endless

    assert fasa.loss(classifier, criterion).isfinite()


def test_a_self_averaging_criterion_sees_only_the_drawn_ones_in_its_second_call(classifier, static_shapes):
    fasa, seen = trained(), []
    fasa.probabilities.copy_(torch.tensor([0.0, 1, 0, 1, 0, 0]))

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels.tolist())
        return functional.cross_entropy(logits, labels)

    fasa.loss(classifier, criterion)
    assert seen == [list(range(CLASSES)), [1, 3]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("variance", ["literal", "std", "ewm"])
@pytest.mark.parametrize("protocol", ["per example", "losses and weights"])
def test_a_training_step_does_not_synchronise_with_the_gpu(protocol, variance):
    fasa = FASA([8, 4, 2, 2, 1, 1], DIM, draws_per_step=3, adaptive=False, variance_estimator=variance).cuda()
    classifier = nn.Linear(DIM, CLASSES).cuda()
    weights = CLASS_WEIGHTS.cuda()
    features, labels = torch.randn(24, DIM, device="cuda"), torch.arange(-1, 23, device="cuda") % (CLASSES + 1)

    def criterion(logits: Tensor, labels: Tensor):
        losses = per_example(logits, labels)
        return losses if protocol == "per example" else (losses, weights[labels])

    fasa.adapt()
    real = torch.ones((), device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            fasa.observe(features, labels)
            fasa.loss(classifier, criterion).backward()
            fasa.weighted_loss(classifier, criterion).joined(real, 24 * real).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    of_cpu = FASA([8, 4, 2, 2, 1, 1], DIM, variance_estimator=variance)
    for _ in range(3):
        of_cpu.observe(features.cpu(), labels.cpu())
    torch.testing.assert_close(fasa.mean.cpu(), of_cpu.mean)
    torch.testing.assert_close(fasa.variance.cpu(), of_cpu.variance)
    assert torch.equal(fasa.observations.cpu(), of_cpu.observations)
