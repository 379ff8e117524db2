"""What is read off a box head, without a training: rows of classifiers of each kind, draws of several epochs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fasa.mmdet.losses import BalancedGroupSoftmax
from fasa.tasks.detection.measurements import _class_rows, _expected_draws


def head(outputs: int, loss: object) -> SimpleNamespace:
    """A box head of 4 classes, whose classifier's row r is filled with r."""
    classifier = nn.Linear(3, outputs)
    with torch.no_grad():
        classifier.weight.copy_(torch.arange(outputs)[:, None].expand(-1, 3))
    return SimpleNamespace(fc_cls=classifier, num_classes=4, loss_cls=loss)


def test_rows_of_the_classes_leave_the_background_out():
    assert _class_rows(head(5, object()))[:, 0].tolist() == [0, 1, 2, 3]


def test_rows_of_groups_come_in_the_order_of_the_classes():
    loss = BalancedGroupSoftmax([20, 3, 50, 400], num_classes=4, boundaries=(10, 100))
    # groups: [others, class 1], [others, class 0, class 2], [others, class 3], [others, foreground]
    assert _class_rows(head(9, loss))[:, 0].tolist() == [3, 1, 4, 6]


@pytest.mark.parametrize(("start_epoch", "expected"), [(0, [4.0, 1.0]), (1, [2.0, 0.8]), (3, [0.0, 0.0])])
def test_expected_draws_begin_with_the_first_virtual_epoch(start_epoch, expected):
    lines = [([0.5, 0.05], 4), ([0.25, 0.1], 4), ([0.25, 0.1], 4)]
    history = [{"iterations": count, "heads": {"bbox_head": {"probabilities": p}}} for p, count in lines]
    assert _expected_draws(history, "bbox_head", start_epoch).tolist() == pytest.approx(expected)
