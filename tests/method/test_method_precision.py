"""Half numbers, features that are not finite, and a compiled step: what a user's training may bring."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from toys import set_static_shapes

from fasa import FASA

CLASSES, DIM = 2, 4
each = partial(cross_entropy, reduction="none")


def observed(fasa: FASA, dtype: torch.dtype) -> FASA:
    """After 2,000 features of mean 3 and variance 1, 1,000 of each class, in steps of 500."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        features = 3 + torch.randn(500, DIM, generator=generator)
        fasa.observe(features.to(dtype), torch.arange(500) % CLASSES)
    return fasa


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_cast_module_keeps_its_statistics_and_makes_features_of_the_models_type(dtype: torch.dtype) -> None:
    fasa = observed(FASA([3, 3], DIM, draws_per_step=100, start_epoch=0).to(dtype), dtype)
    wide = torch.promote_types(dtype, torch.float32)
    assert fasa.mean.dtype == fasa.variance.dtype == fasa.probabilities.dtype == fasa.previous.dtype == wide
    assert fasa.observations.tolist() == [1000, 1000]
    torch.testing.assert_close(fasa.mean, torch.full((CLASSES, DIM), 3.0, dtype=wide), atol=0.2, rtol=0)
    torch.testing.assert_close(fasa.variance, torch.ones(CLASSES, DIM, dtype=wide), atol=0.2, rtol=0)
    assert fasa.sample()[0].dtype == dtype
    classifier = nn.Linear(DIM, CLASSES, dtype=dtype)
    fasa.loss(classifier, each).backward()
    assert classifier.weight.grad is not None and classifier.weight.grad.abs().sum() > 0
    assert fasa.float().sample()[0].dtype == torch.float32
    assert "like" not in fasa.state_dict()


@pytest.mark.parametrize("static", [False, True], ids=["ragged", "static shapes"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_no_virtual_feature_costs_nothing_in_half_numbers(
    dtype: torch.dtype, static: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_static_shapes(monkeypatch, static)  # what a GPU is given
    fasa = observed(FASA([3, 3], DIM, start_epoch=3).to(dtype), dtype)
    assert fasa.loss(nn.Linear(DIM, CLASSES, dtype=dtype), each).item() == 0


@pytest.mark.parametrize("estimator", ["literal", "std", "ewm"])
def test_features_that_are_not_finite_leave_no_trace(estimator: str) -> None:
    """A gradient scaler skips their step; in a moving average they would stay for good."""
    clean, other = (FASA([3, 3], DIM, variance_estimator=estimator) for _ in range(2))
    features, labels = torch.randn(6, DIM), torch.tensor([0, 1, 0, 1, 0, 1])
    broken = torch.cat([features, torch.tensor([[1.0, torch.inf, 0, 0], [torch.nan] * DIM])])
    for _ in range(2):
        clean.observe(features, labels)
        other.observe(broken, torch.cat([labels, torch.tensor([0, 1])]))
    for name, value in clean.state_dict().items():
        assert torch.equal(value.nan_to_num(-1), other.state_dict()[name].nan_to_num(-1)), name


def test_a_compiled_step_may_draw_another_number_each_time() -> None:
    fasa = observed(FASA([3] * 8, DIM, draws_per_step=4, start_epoch=0), torch.float32)
    fasa.observations.fill_(1)
    classifier = nn.Linear(DIM, 8)

    @torch.compile(backend="aot_eager")
    def step(features: Tensor, labels: Tensor) -> Tensor:
        fasa.observe(features, labels)
        return each(classifier(features), labels).mean() + fasa.loss(classifier, each)

    torch.manual_seed(0)
    losses = [step(torch.randn(16, DIM), torch.arange(16) % 8).item() for _ in range(6)]
    assert len(set(losses)) == 6 and all(loss > 0 for loss in losses)
