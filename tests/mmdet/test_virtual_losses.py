"""FASA's virtual features through each classification loss of a box head: 0.1 of their mean, classifier alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from toys import set_static_shapes

import fasa.mmdet.losses  # noqa: F401
from fasa.augmenters.base import Batch
from fasa.errors import UserError
from fasa.mmdet.bbox_head import AugmentedBBoxHead
from fasa.mmdet.criterion import virtual

COUNTS = [50, 2, 300]
LOSSES = {
    "softmax": {"type": "CrossEntropyLoss", "use_sigmoid": False},
    "EQL": {"type": "EqualizationLoss", "image_counts": COUNTS, "num_images": 1000, "threshold": 0.01},
    "BAGS": {"type": "BalancedGroupSoftmax", "instance_counts": COUNTS, "boundaries": (10, 100)},
    "ArcFace": {"type": "ArcFaceAngular", "image_counts": COUNTS},
    "Balanced Softmax": {"type": "BalancedSoftmax", "instance_counts": COUNTS},
}


def box_head(loss: dict[str, Any], **options: Any) -> AugmentedBBoxHead:
    """A head with FASA that draws every class it has seen, from the first epoch on."""
    torch.manual_seed(0)
    own = {} if loss["type"] == "CrossEntropyLoss" else {"num_classes": 3}
    cosine = {"type": "NormedLinear", "temperature": 20, "bias": False}
    head = AugmentedBBoxHead(
        in_channels=2,
        fc_out_channels=5,
        roi_feat_size=1,
        num_classes=3,
        loss_cls={**loss, **own},
        cls_predictor_cfg=cosine if loss["type"] == "ArcFaceAngular" else {"type": "Linear"},
        augmenter={"name": "fasa", "options": {"draws_per_step": 1e6, "start_epoch": 0, **options}},
        class_counts=COUNTS,
    )
    head.init_weights()
    return head


@pytest.mark.parametrize("static", [False, True], ids=["ragged", "static shapes"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_tenth_of_the_mean_virtual_loss_is_added(name: str, static: bool, monkeypatch: Any) -> None:
    set_static_shapes(monkeypatch, static)  # what a GPU is given
    head, stock = (
        box_head(LOSSES[name]),
        MODELS.build({**LOSSES[name]} | ({} if name == "softmax" else {"num_classes": 3})),
    )
    maps, labels = torch.randn(4, 2, 1, 1), torch.tensor([0, 3, 2, 3])
    cls_score, bbox_pred = head(maps)
    targets = torch.zeros(4, 4)
    torch.manual_seed(1)
    losses = head.loss(cls_score, bbox_pred, torch.zeros(4, 5), labels, torch.ones(4), targets, targets)
    torch.manual_seed(1)
    real = stock(cls_score, labels, torch.ones(4), avg_factor=4.0)
    # Classes seen once have no variance: their virtual features are their real ones.
    features = maps.flatten(1)
    for fc in head.shared_fcs:
        features = fc(features).relu()
    logits, seen = head.fc_cls(features[[0, 2]]), torch.tensor([0, 2])
    virtual = head.loss_cls(logits, seen) if name == "softmax" else head.loss_cls.virtual(logits, seen).mean()
    torch.testing.assert_close(losses["virtual"], 0.1 * virtual)
    torch.testing.assert_close(losses["loss_cls"], real + 0.1 * virtual)
    (losses["loss_cls"] - real).backward()
    assert head.fc_cls.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("static", [False, True], ids=["ragged", "static shapes"])
@pytest.mark.parametrize("name", ["softmax", "EQL", "Balanced Softmax"])
def test_a_joint_mean_is_the_loss_of_one_batch_of_real_and_virtual_rois(
    name: str, static: bool, monkeypatch: Any
) -> None:
    """A RoI without weight counts in neither; of the two classes seen once the virtual features are the real ones."""
    set_static_shapes(monkeypatch, static)
    head = box_head(LOSSES[name], joint_mean=True)
    maps, labels, weights = torch.randn(5, 2, 1, 1), torch.tensor([0, 3, 2, 3, 3]), torch.tensor([1.0, 1, 1, 1, 0])
    cls_score, bbox_pred = head(maps)
    features, targets = cls_score.features, torch.zeros(5, 4)
    losses = head.loss(cls_score, bbox_pred, torch.zeros(5, 5), labels, weights, targets, targets)
    seen = torch.tensor([0, 2])
    logits = head.fc_cls(torch.cat([features, features[seen].detach()]))
    both = torch.cat([labels, labels[seen]])
    one_batch = head.loss_cls(logits, both, torch.cat([weights, torch.ones(2)]), avg_factor=6.0)
    torch.testing.assert_close(losses["loss_cls"], one_batch)
    virtual = head.loss_cls(logits[5:], both[5:], torch.ones(2), avg_factor=2.0)
    torch.testing.assert_close(losses["virtual"], virtual.detach())
    parameters = [head.fc_cls.weight, head.shared_fcs[0].weight]
    gradients = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in (losses["loss_cls"], one_batch)]
    torch.testing.assert_close(*gradients)


def test_a_joint_mean_without_a_roi_is_the_virtual_features() -> None:
    head = box_head(LOSSES["softmax"], joint_mean=True)
    for labels in (torch.tensor([1]), torch.tensor([], dtype=torch.long)):
        n = len(labels)
        scores, boxes = head(torch.randn(n, 2, 1, 1))
        targets = torch.zeros(n, 4)
        losses = head.loss(scores, boxes, torch.zeros(n, 5), labels, torch.ones(n), targets, targets)
    assert losses["loss_cls"] == losses["virtual"] > 0


def test_a_joint_mean_is_refused_where_the_loss_averages_by_itself() -> None:
    with pytest.raises(UserError, match=r"the box head, augmenter 'fasa': one mean .*\(joint_mean\) needs"):
        box_head(LOSSES["BAGS"], joint_mean=True)


@pytest.mark.parametrize("name", LOSSES)
def test_virtual_features_reach_the_classifier_alone(name: str) -> None:
    head = box_head(LOSSES[name])
    scores, _ = head(torch.randn(4, 2, 1, 1))
    head.augmenter.loss(Batch(scores.maps, scores.features, scores, torch.tensor([0, 1, 2, 3]))).backward()
    touched = {key for key, weight in head.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert touched and touched <= {"fc_cls.weight", "fc_cls.bias"}


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "softmax"])
def test_single_losses_are_not_random(name: str) -> None:
    loss = MODELS.build({**LOSSES[name], "num_classes": 3})
    logits, labels = torch.randn(200, loss.channels), torch.randint(0, 4, (200,))
    first = loss.per_example(logits, labels)
    assert first.shape == (200,)
    assert torch.equal(first, loss.per_example(logits, labels))


@pytest.mark.parametrize("name", LOSSES)
def test_the_weight_of_a_loss_is_of_virtual_features_too(name: str) -> None:
    """As in mmdet's own cross entropy: the 0.1 is of the real loss, whatever that weighs."""
    cls_score, labels = box_head(LOSSES[name]).fc_cls(torch.randn(3, 5)), torch.tensor([0, 1, 2])
    own = {} if name == "softmax" else {"num_classes": 3}
    once, twice = (MODELS.build({**LOSSES[name], **own, "loss_weight": weight}) for weight in (1.0, 2.0))
    torch.testing.assert_close(virtual(twice, cls_score, labels), 2 * virtual(once, cls_score, labels))
