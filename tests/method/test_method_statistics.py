"""Eq 2 and eq 3: running statistics and virtual features, by hand-computed cases."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from fasa import FASA
from fasa.method.sampling import generate
from fasa.method.statistics import BatchMoments, batch_moments, update

ESTIMATORS = ("literal", "std", "ewm")


def observed(*batches: list[tuple[int, float]], estimator: str = "literal", classes: int = 3) -> FASA:
    """A module with one feature a sample that has seen ``batches`` of ``(label, feature)``."""
    fasa = FASA([1] * classes, 1, variance_estimator=estimator)
    for batch in batches:
        labels, values = zip(*batch, strict=True)
        fasa.observe(torch.tensor(values, dtype=torch.float)[:, None], torch.tensor(labels))
    return fasa


def test_moments_of_a_batch_by_hand():
    features = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 10.0], [7.0, 7.0]])
    count, mean, variance = batch_moments(features, torch.tensor([0, 0, 0, 2]), 3)
    assert count.tolist() == [3, 0, 1]
    assert mean.tolist() == [[3, 4], [0, 0], [7, 7]]
    assert variance.tolist() == [[4, 28], [0, 0], [0, 0]]  # (4 + 0 + 4) / 2 and (16 + 4 + 36) / 2; none of one sample


def test_moments_agree_with_torch_far_from_zero():
    torch.manual_seed(0)
    features, labels = 1000 + torch.randn(200, 8), torch.randint(0, 4, (200,))
    _, mean, variance = batch_moments(features, labels, 4)
    for c in range(4):
        of_class = features[labels == c]
        torch.testing.assert_close(mean[c], of_class.mean(0))
        torch.testing.assert_close(variance[c], of_class.var(0), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_background_and_negative_labels_are_ignored(dtype):
    features = torch.tensor([[1.0], [2.0], [math.nan], [math.inf]])
    fasa = FASA([1, 1], 1)
    fasa.observe(features, torch.tensor([0, 1, 2, -1], dtype=dtype))
    assert fasa.observations.tolist() == [1, 1]
    assert fasa.mean.tolist() == [[1], [2]]
    assert fasa.variance.tolist() == [[0], [0]]


@pytest.mark.parametrize("labels", [[], [3, -1]])
def test_a_batch_without_foreground_changes_nothing(labels):
    fasa = observed([(0, 1.0), (0, 2.0)])
    before = {key: value.clone() for key, value in fasa.state_dict().items()}
    fasa.observe(torch.ones(len(labels), 1), torch.tensor(labels, dtype=torch.long))
    assert all(torch.equal(value, before[key]) or key == "previous" for key, value in fasa.state_dict().items())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_first_sighting_copies_the_batch(estimator):
    fasa = observed([(0, 1.0), (0, 3.0)], estimator=estimator)
    assert fasa.mean[0] == 2
    assert fasa.variance[0] == pytest.approx(2)
    assert fasa.observations.tolist() == [2, 0, 0]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_running_mean_keeps_nine_tenths(estimator):
    fasa = observed([(0, 2.0)], [(0, 4.0)], estimator=estimator)
    assert fasa.mean[0] == pytest.approx(2.2)  # 0.9 * 2 + 0.1 * 4


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        ("literal", 0.9 * 2 + 0.1 * 8),  # variances 2 and 8
        ("std", (0.9 * 2**0.5 + 0.1 * 8**0.5) ** 2),
        ("ewm", 0.9 * (2 + 0.1 * 3**2) + 0.1 * 8),  # means 2 and 5
    ],
)
def test_each_estimator_of_the_running_variance_by_hand(estimator, expected):
    fasa = observed([(0, 1.0), (0, 3.0)], [(0, 3.0), (0, 7.0)], estimator=estimator)
    assert fasa.mean[0] == pytest.approx(2.3)
    assert fasa.variance[0].item() == pytest.approx(expected, rel=1e-6)


def test_ewm_is_finchs_recursion():
    torch.manual_seed(1)
    values = torch.randn(50, dtype=torch.float64).tolist()
    fasa = observed(*([(1, value)] for value in values), estimator="ewm")
    mean, variance = values[0], 0.0
    for value in values[1:]:
        delta = value - mean
        mean += 0.1 * delta
        variance = 0.9 * (variance + 0.1 * delta**2)
    assert fasa.mean[1].item() == pytest.approx(mean, rel=1e-5)
    assert fasa.variance[1].item() == pytest.approx(variance, rel=1e-5)


@pytest.mark.parametrize("estimator", ["literal", "std"])
def test_single_samples_have_no_variance_when_taken_literally(estimator):
    fasa = observed(*([(0, float(value))] for value in range(10)), estimator=estimator)
    assert fasa.variance[0] == 0


def test_single_samples_have_a_variance_under_ewm():
    # Steady state of var <- (1-m)(var + m delta^2) with E[delta^2] = 2 / (2-m): 2 (1-m) / (2-m), 0.947 of the true one.
    torch.manual_seed(0)
    fasa = FASA([1], 8192, variance_estimator="ewm")
    for _ in range(120):
        fasa.observe(torch.randn(1, 8192), torch.zeros(1, dtype=torch.long))
    assert fasa.variance.mean().item() == pytest.approx(1.8 / 1.9, rel=0.02)


def test_literal_variance_of_a_tail_class_collapses():
    # CIFAR-100-LT: of the batches (128 of 10,847 images) that hold a class of 5 images, 97 % hold one of them.
    in_batch = hypergeom(10847, 5, 128)
    present = 1 - in_batch.pmf(0)
    assert present == pytest.approx(0.057, abs=1e-3)
    assert in_batch.pmf(1) / present == pytest.approx(0.975, abs=5e-3)
    torch.manual_seed(0)
    pairs = torch.rand(4000) < 1 - in_batch.pmf(1) / present
    fasa, total = FASA([5], 64), torch.zeros(1, 64)
    for pair in pairs:
        n = 2 if pair else 1
        fasa.observe(torch.randn(n, 64), torch.zeros(n, dtype=torch.long))
        total += fasa.variance
    assert (total / len(pairs)).mean().sqrt().item() == pytest.approx(0.17, abs=0.03)  # of a true deviation of 1


def test_a_class_of_one_observation_makes_exactly_its_mean():
    fasa = FASA([1, 1], 4)
    feature = torch.randn(1, 4)
    fasa.observe(feature, torch.tensor([1]))
    fasa.probabilities.fill_(1)
    virtual, labels = fasa.sample()
    assert labels.tolist() == [1]
    assert torch.equal(virtual, feature)


def test_virtual_features_have_the_statistics_asked_for_and_may_be_negative():
    generator = torch.Generator().manual_seed(0)
    mean, variance = torch.tensor([[0.5, 3.0]]).repeat(20000, 1), torch.tensor([[4.0, 0.25]]).repeat(20000, 1)
    virtual = generate(mean, variance, generator)
    torch.testing.assert_close(virtual.mean(0), mean[0], atol=0.05, rtol=0)
    torch.testing.assert_close(virtual.var(0), variance[0], atol=0.1, rtol=0.05)
    assert abs(torch.corrcoef(virtual.T)[0, 1]) < 0.03  # diagonal
    assert virtual.min() < 0


def test_evaluation_mode_observes_nothing():
    fasa = FASA([1], 2).eval()
    fasa.observe(torch.ones(1, 2), torch.zeros(1, dtype=torch.long))
    assert fasa.observations.tolist() == [0]


def test_observing_leaves_no_gradient_and_takes_half_precision():
    fasa = FASA([1], 2)
    features = torch.ones(1, 2, dtype=torch.float16, requires_grad=True)
    fasa.observe(features, torch.zeros(1, dtype=torch.long))
    assert not fasa.mean.requires_grad
    assert fasa.mean.dtype == torch.float32


LABELS = st.lists(st.integers(-1, 5), min_size=1, max_size=12)


@settings(deadline=None, max_examples=50)
@given(labels=LABELS, seed=st.integers(0, 1000), estimator=st.sampled_from(ESTIMATORS))
def test_the_order_within_a_batch_does_not_matter(labels, seed, estimator):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor(labels)
    features = torch.randn(len(labels), 3, generator=generator)
    order = torch.randperm(len(labels), generator=generator)
    one, other = FASA([1] * 5, 3, variance_estimator=estimator), FASA([1] * 5, 3, variance_estimator=estimator)
    for _ in range(2):
        one.observe(features, labels)
        other.observe(features[order], labels[order])
    assert torch.equal(one.observations, other.observations)
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.variance, other.variance, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(labels=LABELS, seed=st.integers(0, 1000), estimator=st.sampled_from(ESTIMATORS))
def test_only_the_classes_of_a_batch_change(labels, seed, estimator):
    generator = torch.Generator().manual_seed(seed)
    fasa = FASA([1] * 5, 3, variance_estimator=estimator)
    fasa.observe(torch.randn(20, 3, generator=generator), torch.arange(20) % 5)
    mean, variance, observations = fasa.mean.clone(), fasa.variance.clone(), fasa.observations.clone()
    labels = torch.tensor(labels)
    fasa.observe(torch.randn(len(labels), 3, generator=generator), labels)
    absent = ~torch.isin(torch.arange(5), labels)
    assert torch.equal(fasa.mean[absent], mean[absent])
    assert torch.equal(fasa.variance[absent], variance[absent])
    assert torch.equal(fasa.observations[absent], observations[absent])
    assert (fasa.variance >= 0).all()


@settings(deadline=None, max_examples=25)
@given(estimator=st.sampled_from(ESTIMATORS), momentum=st.floats(0.01, 1))
def test_two_updates_in_one_dimension_are_the_scalar_ones(estimator, momentum):
    mean, variance, observations = torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([5])
    batch = BatchMoments(torch.tensor([2.0]), torch.tensor([[3.0]]), torch.tensor([[0.5]]))
    update(mean, variance, observations, batch, momentum, estimator)
    expected = {
        "literal": 2 + momentum * (0.5 - 2),
        "std": (2**0.5 + momentum * (0.5**0.5 - 2**0.5)) ** 2,
        "ewm": (1 - momentum) * (2 + momentum * 4) + momentum * 0.5,
    }[estimator]
    assert mean.item() == pytest.approx(1 + 2 * momentum, rel=1e-5)
    assert variance.item() == pytest.approx(expected, rel=1e-4)
    assert observations.item() == 7
