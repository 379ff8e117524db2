"""Liu et al. on ArcFace: eq 2 by hand, the lent angle, statistics, a box head."""

from __future__ import annotations

import math

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from torch.nn import functional

from fasa.mmdet.losses import ArcFaceAngular


@pytest.fixture
def loss() -> ArcFaceAngular:
    """Classes 0 and 1 are head, 2 is tail; label 3 is the background."""
    return ArcFaceAngular([500, 200, 5], num_classes=3)


def test_margin_by_hand(loss: ArcFaceAngular) -> None:
    angles = torch.tensor([[0.5, 1.0, 1.5, 1.2], [1.4, 1.0, 0.7, 2.0]])
    loss.eval()  # nothing observed: no angle is lent
    labels = torch.tensor([0, 3])
    logits = 20 * angles.cos()
    logits[0, 0] = 20 * math.cos(0.6)
    logits[1, 3] = 20 * math.cos(2.1)  # the background has the margin as well
    expected = functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(loss(20 * angles.cos(), labels, reduction_override="none"), expected)
    torch.testing.assert_close(loss(20 * angles.cos(), labels, torch.ones(2), avg_factor=2.0), expected.mean())
    torch.testing.assert_close(loss.virtual(20 * angles.cos(), labels), expected)


def test_a_lent_angle_moves_all_of_a_rois_angles(loss: ArcFaceAngular) -> None:
    angles = torch.tensor([[0.5, 1.0, 1.5, 1.2]])
    moved = angles + 0.2
    moved[0, 2] += 0.1
    expected = functional.cross_entropy(20 * moved.cos(), torch.tensor([2]), reduction="none")
    torch.testing.assert_close(loss._angular_loss(angles, torch.tensor([2]), torch.tensor([0.2])), expected)


def test_lent_spread_is_what_a_tail_class_lacks(loss: ArcFaceAngular) -> None:
    labels = torch.tensor([0, 1, 2, 3])
    assert not loss._lent(labels).any()
    loss.angle_variance.copy_(torch.tensor([[0.04], [0.02], [0.01]]))
    loss.observations.copy_(torch.tensor([9, 9, 1]))
    torch.testing.assert_close(loss._lent(labels), torch.tensor([0, 0, math.sqrt(0.03 - 0.01), 0]))
    loss.observations[1] = 0  # a head class not met yet has no say
    torch.testing.assert_close(loss._lent(labels)[2].item(), math.sqrt(0.04 - 0.01))
    loss.angle_variance[2] = 0.5  # spread wider than the head: nothing to lend
    assert not loss._lent(labels).any()


def test_statistics_are_of_the_angles_to_the_own_class(loss: ArcFaceAngular) -> None:
    angles = torch.tensor([[0.4, 1, 1, 1], [0.8, 1, 1, 1], [1, 1, 0.9, 1], [1, 1, 1, 0.1]])
    labels = torch.tensor([0, 0, 2, 3])
    loss(20 * angles.cos(), labels)
    torch.testing.assert_close(loss.angle_mean, torch.tensor([[0.6], [0.0], [0.9]]))
    torch.testing.assert_close(loss.angle_variance, torch.tensor([[0.08], [0.0], [0.0]]))
    assert loss.observations.tolist() == [2, 0, 1]
    loss.eval()
    loss(20 * angles.cos(), labels)
    assert loss.observations.tolist() == [2, 0, 1]


def test_a_class_seen_one_roi_at_a_time_gets_a_spread(loss: ArcFaceAngular) -> None:
    torch.manual_seed(0)
    for angle in (1.0 + 0.2 * torch.randn(200)).tolist():
        loss(20 * torch.tensor([[1.5, 1.5, angle, 1.5]]).cos(), torch.tensor([2]))
    assert loss.angle_variance[2].item() == pytest.approx(0.04, rel=0.6)


def test_single_losses_are_without_margin_and_chance(loss: ArcFaceAngular) -> None:
    torch.manual_seed(0)
    logits, labels = 20 * torch.rand(5, 4).cos(), torch.tensor([0, 1, 2, 3, 2])
    torch.testing.assert_close(
        loss.per_example(logits, labels), functional.cross_entropy(logits, labels, reduction="none")
    )
    assert loss.observations.sum() == 0


def test_beyond_pi_a_larger_angle_is_not_rewarded(loss: ArcFaceAngular) -> None:
    logits = torch.tensor([[20 * math.cos(3.1), 0.0, 0.0, 0.0]])
    expected = functional.cross_entropy(torch.tensor([[-20.0, 0, 0, 0]]), torch.tensor([0]), reduction="none")
    torch.testing.assert_close(loss.virtual(logits, torch.tensor([0])), expected)


def test_gradients_are_finite_at_the_ends(loss: ArcFaceAngular) -> None:
    logits = torch.tensor([[20.0, -20.0, 0.0, 20.0]], requires_grad=True)
    loss(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()


def test_in_a_box_head() -> None:
    torch.manual_seed(0)
    head = Shared2FCBBoxHead(
        in_channels=2,
        fc_out_channels=5,
        roi_feat_size=1,
        num_classes=3,
        cls_predictor_cfg=dict(type="NormedLinear", temperature=20, bias=False),
        loss_cls=dict(type="ArcFaceAngular", image_counts=[500, 200, 5], num_classes=3),
    )
    head.init_weights()
    cls_score, bbox_pred = head(torch.randn(4, 2, 1, 1))
    assert cls_score.shape == (4, 4) and cls_score.abs().max() <= 20.001
    labels, targets = torch.tensor([0, 1, 2, 3]), torch.zeros(4, 4)
    losses = head.loss(cls_score, bbox_pred, torch.zeros(4, 5), labels, torch.ones(4), targets, targets)
    losses["loss_cls"].backward()
    assert head.fc_cls.weight.grad.abs().sum() > 0
    torch.testing.assert_close(head.loss_cls.get_activation(cls_score), cls_score.softmax(1))
    assert {"loss_cls.angle_mean", "loss_cls.angle_variance", "loss_cls.observations"} <= set(head.state_dict())
