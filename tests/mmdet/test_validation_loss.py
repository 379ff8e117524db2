"""The validation pass against mmdet's own training path, and what it must leave alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.nn import functional
from torch.utils.data import DataLoader
from toys_detection import CLASSES, COUNTS, ToyScenes, batch, build, fasa_head, tiny_detector

from fasa.mmdet import losses  # noqa: F401  (registers)
from fasa.mmdet.validation_loss import ValidationLoss, evaluating

BAGS = {"type": "BalancedGroupSoftmax", "instance_counts": COUNTS, "num_classes": CLASSES, "boundaries": [3, 10]}
EQL = {"type": "EqualizationLoss", "image_counts": COUNTS, "num_images": 30, "num_classes": CLASSES, "threshold": 0.1}


def loader(size=4, batch_size=2, order=None, **scenes) -> DataLoader:
    return DataLoader(ToyScenes(size, 100, **scenes), batch_size=batch_size, sampler=order, collate_fn=pseudo_collate)


def equal(ours, theirs) -> bool:
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for a, b in zip(ours, theirs, strict=True)
        for name in ("loss", "correct", "count", "probability")
    )


@pytest.mark.parametrize("cascade", [False, True])
def test_sums_are_those_of_the_training_path(cascade):
    detector = build(tiny_detector(cascade, "FirstSampler"))
    heads = list(detector.roi_head.bbox_head) if cascade else [detector.roi_head.bbox_head]
    seen = [[] for _ in heads]
    for head, rows in zip(heads, seen, strict=True):
        head.loss_cls.register_forward_pre_hook(lambda module, inputs, rows=rows: rows.append(inputs[:2]))
    with evaluating(detector), torch.no_grad():
        for first in (100, 102):
            detector.loss(**batch(detector, first, first + 1))
    stock = [[torch.cat(parts) for parts in zip(*rows, strict=True)] for rows in seen]
    ours = ValidationLoss(detector, loader())()
    assert len(ours) == len(heads)
    for sums, (scores, labels) in zip(ours, stock, strict=True):
        ce = functional.cross_entropy(scores, labels, reduction="none").double()
        true = scores.softmax(1)[torch.arange(len(labels)), labels].double()
        hits = (scores.argmax(1) == labels).double()
        for label in range(CLASSES + 1):
            members = labels == label
            assert sums.count[label] == members.sum()
            assert sums.correct[label] == hits[members].sum()
            torch.testing.assert_close(sums.loss[label], ce[members].sum())
            torch.testing.assert_close(sums.probability[label], true[members].sum())
        assert sums.count[:CLASSES].all() and sums.count[CLASSES] > sums.count[:CLASSES].sum()


def test_it_is_repeatable_whatever_the_batch_and_the_order():
    detector = build(tiny_detector(cascade=True))
    first = ValidationLoss(detector, loader())()
    torch.rand(7)
    assert equal(first, ValidationLoss(detector, loader())())
    assert not equal(first, ValidationLoss(detector, loader(), seed=1)())
    for changed in ({"batch_size": 3}, {"batch_size": 1}, {"order": [3, 1, 0, 2]}):
        for a, b in zip(first, ValidationLoss(detector, loader(**changed))(), strict=True):
            torch.testing.assert_close(a.count, b.count, rtol=0, atol=0)
            torch.testing.assert_close(a.loss, b.loss)


def test_random_transforms_are_the_same_each_time():
    detector = build(tiny_detector())
    first = ValidationLoss(detector, loader(jitter=30.0))()
    np.random.rand(5)
    assert equal(first, ValidationLoss(detector, loader(jitter=30.0))())


def test_it_leaves_the_detector_and_the_random_numbers_alone():
    detector = build(tiny_detector(**fasa_head(draws_per_step=5, start_epoch=0)))
    detector.loss(**batch(detector, 0, 1))
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    modes = [part.training for part in detector.modules()]
    assert len(set(modes)) == 2  # frozen batch normalisation among training modules
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    ValidationLoss(detector, loader(jitter=1.0))()
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1][1])
    assert torch.equal(torch.get_rng_state(), states[2])
    assert [part.training for part in detector.modules()] == modes
    for name, value in detector.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)
    assert all(parameter.grad is None for parameter in detector.parameters())


def test_a_class_without_objects_has_no_rois():
    detector = build(tiny_detector())
    (sums,) = ValidationLoss(detector, loader(size=5, missing=2))()
    assert sums.count[2] == 0 and sums.loss[2] == 0
    assert sums.count[[0, 1, 3, 4]].all()


@pytest.mark.parametrize("loss_cls", [BAGS, EQL])
def test_other_losses_are_measured_by_themselves(loss_cls):
    detector = build(tiny_detector(loss_cls=loss_cls, **fasa_head(draws_per_step=5, start_epoch=0)))
    head = detector.roi_head.bbox_head
    assert detector.loss(**batch(detector, 0, 1))["loss_cls"].isfinite()
    head.augmenter.fasa.probabilities.fill_(1)
    assert detector.loss(**batch(detector, 0, 1))["virtual"] > 0
    rows = []
    head.fc_cls.register_forward_hook(lambda module, inputs, output: rows.append(output))
    (sums,) = ValidationLoss(detector, loader())()
    scores = torch.cat(rows)
    assert sums.count.sum() == len(scores)
    probabilities = head.loss_cls.get_activation(scores)
    assert probabilities.shape == (len(scores), CLASSES + 1)
    assert 0 < sums.probability[:CLASSES].sum() < sums.count[:CLASSES].sum()
    assert (sums.loss[:CLASSES] > 0).all() and sums.loss.isfinite().all()


def test_a_classifier_starts_as_its_loss_demands():
    head = build(tiny_detector(loss_cls=EQL, **fasa_head())).roi_head.bbox_head
    torch.testing.assert_close(head.fc_cls.bias.detach(), torch.full((CLASSES,), -6.906755))
