"""Balanced group softmax: outputs, sampling of "others", scores; by hand, and LVIS v1's groups."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from torch.nn import functional

from fasa.mmdet.losses import BalancedGroupSoftmax

# Classes 0..3 in groups 1, 0, 1, 2 of 3; the fourth group is foreground and background (label 4).
COUNTS = [20, 3, 50, 400]
CHANNELS = {"group 0": [0, 1], "group 1": [2, 3, 4], "group 2": [5, 6], "background": [7, 8]}


@pytest.fixture
def make() -> Callable[..., BalancedGroupSoftmax]:
    return lambda **options: BalancedGroupSoftmax(COUNTS, num_classes=4, boundaries=(10, 100), **options)


def cross_entropy(logits: torch.Tensor, group: str, position: int) -> torch.Tensor:
    """Of one RoI in one group; position 0 is "others"."""
    return -logits[CHANNELS[group]].log_softmax(0)[position]


def test_outputs_are_group_after_group_with_others_first(make: Callable[..., BalancedGroupSoftmax]) -> None:
    loss = make()
    assert loss.get_cls_channels(4) == 9
    assert loss.sizes == [2, 3, 2, 2]
    assert loss.channel.tolist() == [3, 1, 4, 6, 8]


def test_boundaries_belong_to_the_upper_group() -> None:
    loss = BalancedGroupSoftmax([9, 10, 99, 100, 999, 1000], num_classes=6)
    assert loss.group.tolist() == [0, 1, 1, 2, 2, 3, 4]


def test_scores_by_hand(make: Callable[..., BalancedGroupSoftmax]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(9)
    share = {name: logits[channels].softmax(0) for name, channels in CHANNELS.items()}
    foreground, background = share["background"]
    of_classes = [share["group 1"][1], share["group 0"][1], share["group 1"][2], share["group 2"][1]]
    expected = torch.stack([*(score * foreground for score in of_classes), background])
    torch.testing.assert_close(make().get_activation(logits[None])[0], expected)


def test_loss_of_each_roi_by_hand(make: Callable[..., BalancedGroupSoftmax]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 9)
    places = (
        [("group 0", 0), ("group 1", 2), ("group 2", 0), ("background", 0)],
        [
            ("group 0", 0),
            ("group 1", 0),
            ("group 2", 0),
            ("background", 1),
        ],
    )
    expected = [sum(cross_entropy(row, *place) for place in of_roi) for row, of_roi in zip(logits, places, strict=True)]
    losses = make().per_example(logits, torch.tensor([2, 4]))
    torch.testing.assert_close(losses, torch.stack(expected))
    torch.testing.assert_close(make()(logits, torch.tensor([2, 4]), reduction_override="none"), torch.stack(expected))


def test_training_loss_when_all_others_are_kept(make: Callable[..., BalancedGroupSoftmax]) -> None:
    """One RoI of group 1, one of background: groups 0 and 2 have no RoI of their own and count nothing."""
    torch.manual_seed(0)
    logits = torch.randn(2, 9)
    labels = torch.tensor([0, 4])
    expected = (cross_entropy(logits[0], "group 1", 1) + cross_entropy(logits[1], "group 1", 0)) / 2
    expected = expected + (cross_entropy(logits[0], "background", 0) + cross_entropy(logits[1], "background", 1)) / 2
    torch.testing.assert_close(make()(logits, labels), expected)
    torch.testing.assert_close(make()(logits, labels, avg_factor=100.0), expected)
    # The whole of a batch at weight 0.1 weighs 0.1: the factor of virtual features must not get lost.
    torch.testing.assert_close(make()(logits, labels, torch.full((2,), 0.1), avg_factor=2.0), 0.1 * expected)
    torch.testing.assert_close(make(loss_weight=3.0)(logits, labels), 3 * expected)


def test_rois_of_weight_0_do_not_exist(make: Callable[..., BalancedGroupSoftmax]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 9)
    labels = torch.tensor([0, 4, 3, 1])
    torch.testing.assert_close(make()(logits, labels, torch.tensor([1.0, 1, 0, 0])), make()(logits[:2], labels[:2]))


def test_at_most_beta_others_for_each_roi_at_random(make: Callable[..., BalancedGroupSoftmax]) -> None:
    loss = make(others=3)
    labels = torch.full((100,), 4)
    labels[:5] = torch.tensor([0, 2, 1, 1, 1])  # two RoIs of group 1, three of group 0, none of group 2
    own = loss.group[labels] == torch.arange(4)[:, None]
    times = torch.zeros(4, 100)
    for _ in range(300):
        kept = loss.keep(own, ~own)
        assert kept[own].all()
        assert (kept & ~own).sum(1)[:3].tolist() == [9, 6, 0]
        assert kept[3].all()
        times += kept
    share = times[1, 5:] / 300  # each of the 98 others of group 1 with 6 / 98
    assert share.min() > 0.02 and share.max() < 0.12


def test_virtual_features(make: Callable[..., BalancedGroupSoftmax]) -> None:
    """Foreground all; "others" of group 1 counts as one of the features is of group 1, of group 2 it does not."""
    torch.manual_seed(0)
    logits = torch.randn(2, 9)
    labels = torch.tensor([1, 0])
    expected = (
        (cross_entropy(logits[0], "group 0", 1) + cross_entropy(logits[1], "group 0", 0)) / 2
        + (cross_entropy(logits[0], "group 1", 0) + cross_entropy(logits[1], "group 1", 1)) / 2
        + (cross_entropy(logits[0], "background", 0) + cross_entropy(logits[1], "background", 0)) / 2
    )
    virtual = make().virtual(logits, labels)
    assert virtual.ndim == 0
    torch.testing.assert_close(virtual, expected)
    logits = logits.clone().requires_grad_()
    make().virtual(logits, labels).backward()
    assert not logits.grad[:, CHANNELS["group 2"]].any()


def test_an_empty_group_is_harmless() -> None:
    loss = BalancedGroupSoftmax([500, 20], num_classes=2)
    assert loss.sizes == [1, 2, 2, 1, 2]
    logits, labels = torch.randn(3, 8), torch.tensor([0, 1, 2])
    assert loss(logits, labels).isfinite() and loss.per_example(logits, labels).isfinite().all()
    torch.testing.assert_close(loss.get_activation(logits)[:, 2], logits[:, 6:].softmax(1)[:, 1])


def test_in_a_box_head(make: Callable[..., BalancedGroupSoftmax]) -> None:
    head = Shared2FCBBoxHead(
        in_channels=2,
        fc_out_channels=5,
        roi_feat_size=1,
        num_classes=4,
        loss_cls=dict(type="BalancedGroupSoftmax", instance_counts=COUNTS, num_classes=4, boundaries=(10, 100)),
    )
    assert head.fc_cls.out_features == 9
    cls_score, bbox_pred = head(torch.randn(3, 2, 1, 1))
    labels, targets = torch.tensor([1, 4, 0]), torch.zeros(3, 4)
    losses = head.loss(cls_score, bbox_pred, torch.zeros(3, 5), labels, torch.ones(3), targets, targets)
    torch.testing.assert_close(losses["loss_cls"], make()(cls_score, labels))
    expected = (make().get_activation(cls_score).argmax(1) == labels).float().mean() * 100
    assert losses["acc"].item() == pytest.approx(expected.item())


def test_lvis_groups() -> None:
    source = Path(os.environ.get("FASA_TEST_DATA", ""), "lvis/lvis_v1_train_cat_info.json")
    if not source.is_file():
        pytest.skip("set FASA_TEST_DATA to a folder with lvis/lvis_v1_train_cat_info.json")
    loss = BalancedGroupSoftmax([entry["instance_count"] for entry in json.loads(source.read_text())])
    assert [size - 1 for size in loss.sizes] == [200, 412, 334, 257, 1]
    assert loss.get_cls_channels(1203) == 1209
    scores = loss.get_activation(torch.randn(4, 1209))
    assert scores.shape == (4, 1204)
    assert functional.one_hot(loss.channel, 1209).sum(0).max() == 1
