"""The augmenter interface: no augmentation, and FASA behind it."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from toys import batch_of, image_context

from fasa.augmenters.base import Augmenter, TrainingContext, Validation
from fasa.augmenters.fasa import FasaAugmenter
from fasa.tasks.classification.losses import Criterion


def test_the_plain_augmenter_changes_nothing():
    augmenter = Augmenter(image_context([3, 2]))
    images, labels, maps = torch.rand(2, 3, 4, 4), torch.tensor([0, 1]), torch.rand(2, 4, 2, 2)
    assert augmenter.select(labels) is labels
    assert augmenter.images(images, labels)[0] is images
    batch = batch_of(maps.mean((2, 3)), labels)
    assert augmenter.mix(batch) is None
    assert augmenter.loss(batch) is None
    assert augmenter.phase == "all"
    assert augmenter.end_epoch(lambda: pytest.fail("no validation is needed")) == {}


def fasa(**options) -> FasaAugmenter:
    torch.manual_seed(0)
    augmenter = FasaAugmenter(image_context([40, 20, 5]), grouping="class", **options)
    augmenter.loss(batch_of(torch.rand(12, 4), torch.arange(3).repeat(4)))
    return augmenter


def validation(loss) -> Validation:
    return Validation(torch.tensor(loss), torch.tensor([9.0, 9.0, 9.0]), torch.tensor([10.0, 10.0, 10.0]))


def test_fasa_tells_the_probabilities_that_the_epoch_used():
    augmenter = fasa()
    start = (1 / torch.tensor([40.0, 20.0, 5.0])) / (1 / 40 + 1 / 20 + 1 / 5)
    for loss in ([5.0, 5.0, 5.0], [4.0, 6.0, 5.0]):  # down: up; up: down; unchanged
        entry = augmenter.end_epoch(lambda loss=loss: validation(loss))
        assert entry["probabilities"] == pytest.approx(start.tolist())
        assert entry["groups"] == [0, 1, 2]
    now = augmenter.fasa.probabilities
    torch.testing.assert_close(now, start * torch.tensor([1.1, 0.9, 1.0]))


def test_fasa_by_the_metric_reads_the_hits():
    augmenter = fasa(adapt_on="metric")
    for hits in ([5.0, 5.0, 5.0], [4.0, 6.0, 5.0]):
        sums = Validation(torch.zeros(3), torch.tensor(hits), torch.full((3,), 10.0))
        before = augmenter.fasa.probabilities.clone()
        augmenter.end_epoch(lambda sums=sums: sums)
    torch.testing.assert_close(augmenter.fasa.probabilities, before * torch.tensor([0.9, 1.1, 1.0]))


def test_static_fasa_asks_for_no_validation():
    augmenter = fasa(adaptive=False)
    before = augmenter.fasa.probabilities.clone()
    for _ in range(3):
        augmenter.end_epoch(lambda: pytest.fail("static sampling must not look at held-out images"))
    assert torch.equal(augmenter.fasa.probabilities, before)
    assert int(augmenter.fasa.epoch) == 3


def test_fasas_virtual_loss_reaches_the_classifier_alone():
    augmenter = fasa(start_epoch=0, draws_per_step=100.0)
    head = augmenter.context.classifier
    features = torch.rand(12, 4, requires_grad=True)
    augmenter.loss(batch_of(features, torch.arange(3).repeat(4))).backward()
    assert features.grad is None
    assert head.fc.weight.grad.abs().sum() > 0
    assert not list(augmenter.parameters())  # the classifier belongs to the training


def test_unweighted_virtual_losses_have_no_margins_and_weights():
    """Class 2 of counts 40, 20, 5: a margin of 0.5, a weight above 1; one feature of each class is drawn."""
    counts = torch.tensor([40, 20, 5])

    def virtual(unweighted: bool, **loss: float) -> torch.Tensor:
        torch.manual_seed(0)
        criterion = Criterion(counts, scale=2.0, **loss)
        criterion.begin_epoch(0)
        told = image_context(counts.tolist())
        told.criterion, told.unweighted_criterion = criterion, criterion.validation
        augmenter = FasaAugmenter(told, unweighted_virtual_loss=unweighted, start_epoch=0, draws_per_step=1e6)
        return augmenter.loss(batch_of(torch.rand(12, 4), torch.arange(3).repeat(4)))

    bare = virtual(unweighted=False)
    assert bare > 0 and torch.equal(virtual(unweighted=True, margin=0.5, drw_beta=0.99), bare)
    assert virtual(unweighted=False, margin=0.5) > bare
    head = torch.nn.Linear(4, 3)
    other = TrainingContext(
        classifier=head, embed=torch.flatten, criterion=functional.cross_entropy, class_counts=counts, feature_dim=4
    )
    with pytest.raises(ValueError, match="unweighted_virtual_loss is true, but this criterion"):
        FasaAugmenter(other, unweighted_virtual_loss=True)


def test_presets_and_options_reach_fasa():
    paper = FasaAugmenter(image_context([40, 20, 5])).fasa
    assert (paper.grouping, paper.reduction) == ("mean_shift", "class_mean")
    released = FasaAugmenter(image_context([40, 20, 5]), preset="fasa_released", momentum=0.3).fasa
    assert (released.grouping, released.reduction) == ("affinity_released", "share_sum")
    assert released.momentum == 0.3
    assert FasaAugmenter(image_context([40, 20, 5]), preset="fasa_released", grouping="class").fasa.grouping == "class"
