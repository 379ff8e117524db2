"""Yin et al.'s feature transfer: centres, principal components, virtual features, losses and phases."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from toys import batch_of, image_context, seeded, set_static_shapes

from fasa.augmenters.yin import Yin, principal_projection

COUNTS = [40, 30, 5]  # classes 0 and 1 are regular, 2 is tail


def yin(**options) -> Yin:
    """With encoder and decoder the identity, so that codes are features (which are positive here)."""
    torch.manual_seed(0)
    augmenter = Yin(image_context(COUNTS), **{"code": 4, "start_epoch": 0, **options})
    with torch.no_grad():
        for layer in (augmenter.encoder, augmenter.decoder):
            layer.weight.copy_(torch.eye(4))
            layer.bias.zero_()
    return augmenter


def test_principal_components_hold_their_share():
    direction = torch.tensor([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 2**0.5]]) / 2**0.5
    covariance = direction.T @ torch.diag(torch.tensor([90.0, 6.0, 4.0])) @ direction
    for energy, kept in ((0.5, 1), (0.9, 1), (0.95, 2), (0.96, 2), (0.97, 3), (1.0, 3)):
        expected = direction[:kept].T @ direction[:kept]
        torch.testing.assert_close(principal_projection(covariance, energy), expected, atol=1e-5, rtol=0)
    assert not principal_projection(torch.zeros(3, 3), 0.95).any()


def test_the_transfer_by_hand():
    """The regular class's two features deviate from their centre (3, 2) by (1, 0) and (-1, 0), the tail's is (5, 7)."""
    augmenter = yin(momentum=1.0)
    features = torch.tensor([[4.0, 2, 0, 0], [2.0, 2, 0, 0], [5.0, 7, 0, 0], [9.0, 9, 9, 9]])
    labels = torch.tensor([0, 0, 2, 3])  # 3: background
    augmenter.observe(features, labels)
    assert augmenter.centres[0].tolist() == [3, 2, 0, 0]
    assert augmenter.covariance.diagonal().tolist() == [1, 0, 0, 0]
    assert augmenter.ready().tolist() == [False, False, True]
    assert augmenter.make(torch.tensor([2])).tolist() == [[5, 7, 0, 0]]  # no components yet: the centre
    augmenter.end_epoch(lambda: pytest.fail("nothing is validated"))
    augmenter.observe(features, labels)
    made = augmenter.make(torch.full((50,), 2))
    assert {tuple(row) for row in made.round(decimals=4).tolist()} == {(6, 7, 0, 0), (4, 7, 0, 0)}


def test_deviations_outside_the_components_are_left_out():
    augmenter = yin(momentum=1.0, energy=0.8)
    features = torch.tensor([[4.0, 2.5, 1, 1], [2.0, 1.5, 1, 1], [4.0, 1.5, 1, 1], [2.0, 2.5, 1, 1], [5.0, 7, 1, 1]])
    labels = torch.tensor([0, 0, 0, 0, 2])
    augmenter.observe(features, labels)  # variances 1 and .25
    assert augmenter.end_epoch(lambda: None)["components"] == 1
    augmenter.observe(features, labels)
    made = augmenter.make(torch.full((50,), 2))
    assert {tuple(row) for row in made.round(decimals=4).tolist()} == {(6, 7, 1, 1), (4, 7, 1, 1)}


def test_running_centres_and_covariance():
    augmenter = yin(momentum=0.1)
    for value in (2.0, 4.0):
        augmenter.observe(torch.full((1, 4), value), torch.tensor([1]))
    torch.testing.assert_close(augmenter.centres[1], torch.full((4,), 2.2))
    # The first deviates by 0, the second by 4 - 2.2 from the centre as it has become.
    torch.testing.assert_close(augmenter.covariance, torch.full((4, 4), 0.1 * 1.8**2))
    before = augmenter.covariance.clone()
    augmenter.observe(torch.rand(3, 4), torch.tensor([2, 2, 3]))  # no regular feature
    assert torch.equal(augmenter.covariance, before)
    assert not augmenter.ready().any()


def test_the_losses_by_hand():
    augmenter = yin(reconstruction=0.5, regularisation=0.25, draws_per_step=0.0)
    features = torch.rand(4, 4, generator=seeded(2))
    labels = torch.tensor([0, 1, 2, 3])
    with torch.no_grad():
        augmenter.decoder.bias.fill_(0.5)
    response = augmenter.context.classifier(features[:3]).square().mean()
    torch.testing.assert_close(augmenter.loss(batch_of(features, labels)), 0.5 * torch.tensor(0.25) + 0.25 * response)


@pytest.mark.parametrize("static", [False, True])
def test_virtual_features_reach_the_classifier_with_a_tenth(static, monkeypatch):
    set_static_shapes(monkeypatch, static)  # as on a GPU
    augmenter = yin(reconstruction=0.0, regularisation=0.0, draws_per_step=100.0)
    features, labels = torch.rand(3, 4, generator=seeded(2)), torch.tensor([0, 1, 2])
    expected = functional.cross_entropy(augmenter.context.classifier(features[2:]), labels[2:])
    got = augmenter.loss(batch_of(features, labels))
    torch.testing.assert_close(got, 0.1 * expected)
    got.backward()
    assert augmenter.context.classifier.fc.weight.grad.abs().sum() > 0
    assert not augmenter.encoder.weight.grad.any()
    assert not augmenter.decoder.weight.grad.any()


def test_features_are_moved_towards_their_reconstruction_not_the_other_way():
    """The reconstruction is too large by .5: its error falls if the feature does, whose value as target is fixed."""
    augmenter = yin(reconstruction=1.0, regularisation=0.0, draws_per_step=0.0)
    with torch.no_grad():
        augmenter.decoder.bias.fill_(0.5)
    features = torch.rand(2, 4, requires_grad=True)
    augmenter.loss(batch_of(features, torch.tensor([0, 1]))).backward()
    torch.testing.assert_close(features.grad, torch.full((2, 4), 2 * 0.5 / 4 / 2))


def test_phases_alternate_from_the_start_epoch_on():
    augmenter = yin(start_epoch=1, reconstruction=0.0, regularisation=0.0, draws_per_step=100.0)
    phases, losses = [], []
    for epoch in range(5):
        augmenter.begin_epoch(epoch)
        phases.append(augmenter.phase)
        losses.append(float(augmenter.loss(batch_of(torch.rand(3, 4), torch.tensor([0, 1, 2]))).detach()) > 0)
        augmenter.end_epoch(lambda: None)
    assert phases == ["all", "classifier", "features", "classifier", "features"]
    assert losses == [False, True, False, True, False]


def test_a_batch_without_foreground_touches_every_parameter():
    augmenter = yin()
    loss = augmenter.loss(batch_of(torch.rand(3, 4), torch.full((3,), 3)))
    assert float(loss.detach()) == 0
    loss.backward()
    assert all(p.grad is not None and not p.grad.any() for p in augmenter.parameters())


def test_eval_mode_and_checkpoint():
    first = yin(draws_per_step=100.0)
    first.loss(batch_of(torch.rand(6, 4), torch.arange(3).repeat(2)))
    first.end_epoch(lambda: None)
    second = yin(draws_per_step=100.0)
    second.load_state_dict(first.state_dict())
    features, labels = torch.rand(6, 4), torch.arange(3).repeat(2)
    for augmenter in (first, second):
        augmenter.context.generator.manual_seed(3)
    assert torch.equal(first.loss(batch_of(features, labels)), second.loss(batch_of(features, labels)))
    first.eval()
    centres = first.centres.clone()
    assert float(first.loss(batch_of(features, labels))) == 0
    assert torch.equal(first.centres, centres)


@pytest.mark.parametrize("options", [{"code": 0}, {"energy": 0.0}, {"momentum": 2.0}, {"regularisation": -1.0}])
def test_arguments_outside_their_range(options):
    with pytest.raises(ValueError, match="must"):
        yin(**options)
