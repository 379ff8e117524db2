"""Equalization loss: by hand, against the public code's formula, in a box head, and on LVIS v1's counts."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from torch import nn
from torch.nn import functional

from fasa.errors import UserError
from fasa.mmdet.losses import EqualizationLoss

BACKGROUND = 4


@pytest.fixture
def loss() -> EqualizationLoss:
    """Four classes of 50, 2, 1 and 3 images of 100; below the threshold: 1, 2."""
    return EqualizationLoss([50, 2, 1, 3], num_images=100, num_classes=4, threshold=0.03)


def test_tail_is_strictly_below_the_threshold(loss: EqualizationLoss) -> None:
    assert loss.tail.tolist() == [False, True, True, False]


def test_loss_by_hand(loss: EqualizationLoss) -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0]]).expand(3, 4)
    negative = functional.softplus(logits[0])  # -log(1 - p)
    positive = functional.softplus(-logits[0])  # -log p
    expected = [
        positive[0] + negative[3],  # an object of class 0: tail classes 1 and 2 are spared
        negative[0] + positive[1] + negative[3],  # of tail class 1: its own term stays, 2 is spared
        negative.sum(),  # background spares nobody
    ]
    labels = torch.tensor([0, 1, BACKGROUND])
    torch.testing.assert_close(loss.per_example(logits, labels), torch.stack(expected))
    torch.testing.assert_close(loss(logits, labels), torch.stack(expected).mean())
    torch.testing.assert_close(loss.virtual(logits[:2], labels[:2]), torch.stack(expected[:2]))


def test_equals_the_formula_of_the_paper(loss: EqualizationLoss) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(50, 4), torch.randint(0, 5, (50,))
    target = functional.one_hot(labels, 5)[:, :4].float()
    foreground = (labels != BACKGROUND).float()[:, None]
    weights = 1 - foreground * loss.tail.float() * (1 - target)
    element = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    torch.testing.assert_close(loss(logits, labels), (weights * element).sum() / 50)


def test_weights_and_average_factor_are_honoured(loss: EqualizationLoss) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 4, 4])
    whole = loss(logits, labels)
    torch.testing.assert_close(loss(logits, labels, torch.full((6,), 0.1), avg_factor=6), 0.1 * whole)
    weight = torch.tensor([1.0, 1, 1, 1, 0, 0])
    torch.testing.assert_close(loss(logits, labels, weight, avg_factor=4), loss(logits[:4], labels[:4]))
    each = loss(logits, labels, reduction_override="none")
    torch.testing.assert_close(each.mean(), whole)
    doubled = EqualizationLoss([50, 2, 1, 3], 100, 4, threshold=0.03, loss_weight=2.0)
    torch.testing.assert_close(doubled(logits, labels), 2 * whole)


def test_no_gradient_on_what_is_spared(loss: EqualizationLoss) -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    loss(logits, torch.tensor([0])).backward()
    assert logits.grad[0, 1:3].tolist() == [0, 0]
    assert logits.grad[0, 0] < 0 < logits.grad[0, 3]


def test_infinite_logits_of_spared_classes_do_no_harm(loss: EqualizationLoss) -> None:
    logits = torch.tensor([[1.0, torch.inf, 0.0, 0.0]])
    assert loss(logits, torch.tensor([0])).isfinite()


def test_first_bias(loss: EqualizationLoss) -> None:
    classifier = nn.Linear(3, 4)
    loss.initialise(classifier)
    assert classifier.bias[0].item() == pytest.approx(-6.9068, abs=1e-4)


def test_in_a_box_head() -> None:
    head = Shared2FCBBoxHead(
        in_channels=2,
        fc_out_channels=5,
        roi_feat_size=1,
        num_classes=4,
        loss_cls=dict(type="EqualizationLoss", image_counts=[50, 2, 1, 3], num_images=100, num_classes=4),
        init_cfg=[dict(type="Normal", std=0.01, bias_prob=0.001, override=dict(name="fc_cls"))],
    )
    head.init_weights()
    assert head.fc_cls.out_features == 4
    assert head.fc_cls.bias[0].item() == pytest.approx(math.log(0.001 / 0.999))
    cls_score, bbox_pred = head(torch.randn(3, 2, 1, 1))
    labels, targets = torch.tensor([1, 4, 0]), torch.zeros(3, 4)
    losses = head.loss(cls_score, bbox_pred, torch.zeros(3, 5), labels, torch.ones(3), targets, targets)
    torch.testing.assert_close(losses["loss_cls"], head.loss_cls(cls_score, labels))
    assert set(losses) == {"loss_cls", "acc_classes", "loss_bbox"}
    scores = head.loss_cls.get_activation(cls_score)
    assert scores.shape == (3, 5) and not scores[:, -1].any()
    assert not any("tail" in key for key in head.state_dict())


def test_accuracy_counts_foreground(loss: EqualizationLoss) -> None:
    logits = functional.one_hot(torch.tensor([0, 1, 2]), 4).float()
    assert loss.get_accuracy(logits, torch.tensor([0, 2, BACKGROUND]))["acc_classes"].item() == 50
    assert loss.get_accuracy(logits, torch.full((3,), BACKGROUND))["acc_classes"].item() == 0


def test_mistakes(loss: EqualizationLoss, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="image_counts of EqualizationLoss"):
        EqualizationLoss([1, 2], 10, num_classes=3)
    with pytest.raises(UserError, match=r"counts\.json"):
        EqualizationLoss(str(tmp_path / "counts.json"), 10, num_classes=3)
    with pytest.raises(UserError, match="num_classes of loss_cls"):
        loss.get_cls_channels(5)
    with pytest.raises(UserError, match="reduction"):
        EqualizationLoss([1, 2], 10, num_classes=2, reduction="max")


def test_lvis_tail(tmp_path: Path) -> None:
    """The public configuration's 1.1e-3 is 815 classes: all 337 rare, all 461 common and 17 frequent ones."""
    source = Path(os.environ.get("FASA_TEST_DATA", ""), "lvis/lvis_v1_train_cat_info.json")
    if not source.is_file():
        pytest.skip("set FASA_TEST_DATA to a folder with lvis/lvis_v1_train_cat_info.json")
    classes = json.loads(source.read_text())
    counts = tmp_path / "counts.json"
    counts.write_text(json.dumps([entry["image_count"] for entry in classes]))
    frequency = [entry["frequency"] for entry in classes]
    for threshold, expected in ((1.0e-3, 796), (1.1e-3, 815), (1.76e-3, 876)):
        tail = EqualizationLoss(str(counts), 99388, threshold=threshold).tail.tolist()
        assert sum(tail) == expected
        if threshold == 1.1e-3:
            of_tail = [letter for letter, spared in zip(frequency, tail, strict=True) if spared]
            assert [of_tail.count(letter) for letter in "rcf"] == [337, 461, 17]
