"""Balanced Softmax in a box head: by hand, at its optimum, in a detector that takes a step, and by its recipes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch.nn import functional
from toys_detection import CLASSES, COUNTS, batch, build, tiny_detector

from fasa.errors import UserError
from fasa.mmdet.losses import BalancedSoftmax
from fasa.study import load_study

ROOT = Path(__file__).parents[2]
BACKGROUND = 3


@pytest.fixture
def loss() -> BalancedSoftmax:
    """Three classes of 6, 2 and 1 instances: 3 on average."""
    return BalancedSoftmax([6, 2, 1], num_classes=3)


def test_loss_by_hand(loss: BalancedSoftmax) -> None:
    """Equal logits weigh 2, 2/3, 1/3 and, the background, 1: together 4, as many as without the prior."""
    logits, labels = torch.zeros(4, 4), torch.tensor([0, 1, 2, BACKGROUND])
    expected = torch.tensor([2.0, 6.0, 12.0, 4.0]).log()
    torch.testing.assert_close(loss(logits, labels, reduction_override="none"), expected)
    torch.testing.assert_close(loss(logits, labels), expected.mean())
    torch.testing.assert_close(loss.virtual(logits[:3], labels[:3]), expected[:3])
    # 4, 3, 6 and 1 after the prior's 2, 2/3, 1/3 and 1 on 2, 4.5, 18 and 1.
    logits = torch.tensor([[2.0, 4.5, 18.0, 1.0]]).log()
    assert loss(logits, torch.tensor([2])).item() == pytest.approx(math.log(14 / 6), abs=1e-6)


def test_inference_and_held_out_losses_are_without_the_prior(loss: BalancedSoftmax) -> None:
    logits = torch.tensor([[2.0, 4.0, 1.0, 1.0]]).log()
    torch.testing.assert_close(loss.get_activation(logits), torch.tensor([[0.25, 0.5, 0.125, 0.125]]))
    torch.testing.assert_close(loss.per_example(logits, torch.tensor([1])), torch.tensor([math.log(2)]))
    assert loss.get_accuracy(logits, torch.tensor([1]))["acc"].item() == 100


def test_its_optimum_has_equal_classes_and_the_background_of_the_training(loss: BalancedSoftmax) -> None:
    """Of 36 RoIs that look the same 6, 2 and 1 are objects: the scores that cost least are 1/12 a class, and 3/4."""
    labels = torch.tensor([0] * 6 + [1] * 2 + [2] + [BACKGROUND] * 27)
    logits = torch.tensor([1 / 12, 1 / 12, 1 / 12, 3 / 4]).log().requires_grad_()
    loss(logits.expand(36, 4), labels).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(4), atol=1e-7, rtol=0)


def test_equal_classes_make_it_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(50, 4), torch.randint(0, 4, (50,))
    expected = functional.cross_entropy(logits, labels, reduction="none")
    assert torch.equal(BalancedSoftmax([5, 5, 5], 3)(logits, labels, reduction_override="none"), expected)


def test_weights_and_reductions(loss: BalancedSoftmax) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 4), torch.randint(0, 4, (6,))
    weight = torch.tensor([1.0, 1, 1, 1, 0, 0])
    torch.testing.assert_close(loss(logits, labels, weight, avg_factor=4), loss(logits[:4], labels[:4]))
    doubled = BalancedSoftmax([6, 2, 1], 3, loss_weight=2.0)
    torch.testing.assert_close(doubled(logits, labels), 2 * loss(logits, labels))


def test_a_detector_takes_a_step_down_with_it() -> None:
    own = {"type": "BalancedSoftmax", "instance_counts": COUNTS, "num_classes": CLASSES}
    detector = build(tiny_detector(sampler="FirstSampler", type="AugmentedBBoxHead", loss_cls=own))
    optimiser = OptimWrapper(torch.optim.SGD(detector.parameters(), lr=0.02))

    def losses() -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        return detector.loss(**batch(detector, 0, 1))

    before = losses()
    assert before["loss_cls"].isfinite() and {"acc", "loss_bbox", "loss_mask"} <= set(before)
    optimiser.update_params(before["loss_cls"])
    assert losses()["loss_cls"] < before["loss_cls"]
    assert not any("offsets" in key for key in detector.state_dict())


@pytest.mark.parametrize("base", ["mask_rcnn", "rfs"])
def test_a_recipe_differs_from_its_baseline_by_the_loss_alone(base: str) -> None:
    recipes = load_study(ROOT, "paper").recipes
    ours, plain = (recipes[name].model_dump(exclude={"name"}) for name in (f"{base}_balanced_softmax", base))
    assert (ours.pop("loss")["name"], plain.pop("loss")["name"]) == ("balanced_softmax", "cross_entropy")
    assert ours == plain


def test_counts_must_fit() -> None:
    with pytest.raises(UserError, match="instance_counts of BalancedSoftmax has 2 numbers"):
        BalancedSoftmax([1, 2], num_classes=3)
