"""The module's state and arguments: what is saved, what continues, what is refused."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fasa import FASA

CLASSES, DIM = 6, 5


def steps(fasa: FASA, classifier: nn.Module, epochs: range) -> list[float]:
    """A few epochs of training steps; their losses."""
    losses = []
    for epoch in epochs:
        for step in range(3):
            generator = torch.Generator().manual_seed(100 * epoch + step)
            labels = torch.randint(0, CLASSES, (16,), generator=generator)
            fasa.observe(torch.randn(16, DIM, generator=generator), labels)
            losses.append(fasa.loss(classifier, partial(cross_entropy, reduction="none")).item())
        fasa.adapt(torch.rand(CLASSES, generator=generator) * 10, torch.full((CLASSES,), 10))
    return losses


@pytest.mark.parametrize("grouping", ["mean_shift", "class"])
@pytest.mark.parametrize(
    ("variance", "reduction"), [("literal", "class_mean"), ("ewm", "class_mean"), ("ewm", "pooled")]
)
def test_a_saved_module_continues_bit_by_bit(grouping, variance, reduction, tmp_path):
    classifier = nn.Linear(DIM, CLASSES)

    def make() -> FASA:
        options = {"grouping": grouping, "variance_estimator": variance, "reduction": reduction, "draws_per_step": 5}
        return FASA(list(range(1, 7)), DIM, generator=torch.Generator().manual_seed(3), **options)

    whole = make()
    first = steps(whole, classifier, range(3))
    torch.save({"fasa": whole.state_dict(), "random": whole.generator.get_state()}, tmp_path / "state.pt")
    rest = steps(whole, classifier, range(3, 6))
    resumed = make()
    state = torch.load(tmp_path / "state.pt")
    resumed.load_state_dict(state["fasa"])
    resumed.generator.set_state(state["random"])
    assert first[:3] == [0, 0, 0]
    assert any(first[3:])
    assert steps(resumed, classifier, range(3, 6)) == rest
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0, equal_nan=True)


def test_the_whole_state_is_in_buffers():
    names = {"mean", "variance", "observations", "probabilities", "groups", "previous", "epoch"}
    for reduction in ("class_mean", "share_sum"):  # what checkpoints of before `pooled` have
        assert set(FASA([1, 2], 3, reduction=reduction).state_dict()) == names
    assert set(FASA([1, 2], 3, reduction="pooled").state_dict()) == names | {"previous_count"}


def test_a_copy_is_independent():
    fasa = FASA([1] * CLASSES, DIM, generator=torch.Generator())
    other = copy.deepcopy(fasa)
    other.observe(torch.ones(1, DIM), torch.tensor([0]))
    assert fasa.observations[0] == fasa.mean[0, 0] == 0


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ([], {}, "class_counts"),
        ([3, 0], {}, "class_counts"),
        ([[1, 2]], {}, "class_counts"),
        ([1], {"momentum": 0}, "momentum is 0"),
        ([1], {"momentum": 1.5}, "momentum is 1.5"),
        ([1], {"momentum": math.nan}, "momentum is nan"),
        ([1], {"draws_per_step": -1}, "draws_per_step"),
        ([1], {"draws_per_step": math.nan}, "draws_per_step"),
        ([1], {"loss_weight": -0.1}, "loss_weight"),
        ([1], {"up": 0.9}, "up"),
        ([1], {"down": 1.1}, "down"),
        ([1], {"down": 0}, "down"),
        ([1], {"neighbours": 1}, "neighbours"),
        (
            [1],
            {"initialisation": "inverse"},
            "initialisation is 'inverse'; it must be one of inverse_frequency, uniform",
        ),
        ([1], {"grouping": "kmeans"}, "grouping is 'kmeans'"),
        ([1], {"adapt_on": "accuracy"}, "adapt_on is 'accuracy'"),
        ([1], {"reduction": "sum"}, "reduction is 'sum'"),
        ([1], {"variance_estimator": "var"}, "variance_estimator is 'var'"),
    ],
)
def test_a_wrong_argument_is_named(counts, options, message):
    with pytest.raises(ValueError, match=message):
        FASA(counts, 2, **options)


@pytest.mark.parametrize(
    "arguments",
    [(), (torch.ones(3), None), (None, torch.ones(3)), (torch.ones(2), torch.ones(2)), (torch.ones(4), torch.ones(3))],
)
def test_adapting_without_the_classes_values_is_an_error_and_changes_nothing(arguments):
    fasa = FASA([1, 2, 3], 2)
    with pytest.raises(ValueError, match="loss_sum and count"):
        fasa.adapt(*arguments)
    assert fasa.epoch == 0
