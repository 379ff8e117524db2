"""Mixup and Remix beside their papers' equations, worked out by hand, and soft labels in a classifier's step."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from toys import image_context, seeded

from fasa.augmenters.base import Targets
from fasa.augmenters.mixup import Mixup
from fasa.augmenters.remix import Remix
from fasa.tasks.classification.losses import Criterion, target_sums

COUNTS = [60, 30, 20, 10]
# Labels of four pairs (i, j): 60 and 10 images, 10 and 60, 60 and 30, 60 and 20 (kappa = 3 exactly).
OURS, THEIRS = torch.tensor([0, 3, 0, 0]), torch.tensor([3, 0, 1, 2])


def fixed(augmenter, share, partners, monkeypatch):
    """``augmenter`` with a share and partners that are known."""
    monkeypatch.setattr(augmenter, "_share", lambda device: torch.tensor(share))
    monkeypatch.setattr(augmenter.context, "partners", lambda labels: torch.tensor(partners))
    return augmenter


def test_mixup_by_hand(monkeypatch):
    """Images of 0.2 and 0.6, a quarter their own: 0.25 * 0.2 + 0.75 * 0.6 = 0.5; 0.25 * 0.6 + 0.75 * 0.2 = 0.3."""
    augmenter = fixed(Mixup(image_context(COUNTS)), 0.25, [1, 0], monkeypatch)
    images = torch.tensor([0.2, 0.6])[:, None, None, None].expand(2, 3, 4, 4)
    mixed, targets = augmenter.images(images, torch.tensor([0, 3]))
    torch.testing.assert_close(mixed[:, 0, 0, 0], torch.tensor([0.5, 0.3]))
    assert targets.labels.tolist() == [0, 3] and targets.others.tolist() == [3, 0] and targets.own == 0.25


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.4, [0.0, 0.4, 0.4, 0.0]),  # below tau: the minority j takes over; 1 - 0.4 is not below it
        (0.7, [0.7, 1.0, 0.7, 0.7]),  # 1 - 0.7 is below tau: the minority i takes over
        (0.5, [0.5, 0.5, 0.5, 0.5]),  # neither is below
    ],
)
def test_remix_by_hand(share, expected):
    remix = Remix(image_context(COUNTS))
    assert remix.label_share(torch.tensor(share), OURS, THEIRS).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("kappa", "tau"), [(3.0, 0.5), (1.0, 0.5), (2.0, 1.0), (1.5, 0.0)])
def test_remix_is_the_papers_definition_of_every_pair(kappa, tau):
    remix = Remix(image_context(COUNTS), kappa=kappa, tau=tau)
    ours, theirs = (part.flatten() for part in torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij"))
    for share in (0.0, 0.1, 0.49, 0.5, 0.51, 0.9, 1.0):
        found = remix.label_share(torch.tensor(share, dtype=torch.double), ours, theirs).tolist()
        for i, j, label in zip(ours.tolist(), theirs.tolist(), found, strict=True):
            ratio = COUNTS[i] / COUNTS[j]
            if ratio >= kappa and share < tau:
                assert label == 0
            elif ratio <= 1 / kappa and 1 - share < tau:
                assert label == 1
            else:
                assert label == share


def test_remix_mixes_images_as_mixup_does():
    images, labels = torch.rand(6, 3, 4, 4, generator=seeded()), torch.tensor([0, 0, 0, 3, 3, 1])
    (mixed, _), (other, targets) = (each(image_context(COUNTS)).images(images, labels) for each in (Mixup, Remix))
    assert torch.equal(mixed, other)
    assert targets.own.shape == (6,)


def test_shares_are_of_the_beta_distribution():
    """Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)); a = 1 is uniform."""
    for alpha in (0.2, 1.0, 5.0):
        augmenter = Mixup(image_context(COUNTS), alpha=alpha)
        drawn = torch.stack([augmenter._share(torch.device("cpu")) for _ in range(20_000)])
        assert float(drawn.mean()) == pytest.approx(0.5, abs=0.01)
        assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.04)
        assert drawn.min() >= 0 and drawn.max() <= 1


def test_the_loss_of_two_labels_is_mixups():
    """``lambda * L(y_a) + (1 - lambda) * L(y_b)``, as the authors' mixup_criterion has it, with one share or many."""
    criterion = Criterion(torch.tensor(COUNTS))
    logits = torch.randn(4, 4, generator=seeded())
    total, weight = target_sums(criterion, logits, Targets(OURS, THEIRS, torch.tensor(0.3)))
    expected = 0.3 * functional.cross_entropy(logits, OURS) + 0.7 * functional.cross_entropy(logits, THEIRS)
    torch.testing.assert_close(total / weight, expected)
    own = torch.tensor([0.0, 1.0, 0.5, 0.25])
    total, weight = target_sums(criterion, logits, Targets(OURS, THEIRS, own))
    soft = own[:, None] * functional.one_hot(OURS, 4) + (1 - own[:, None]) * functional.one_hot(THEIRS, 4)
    torch.testing.assert_close(total / weight, functional.cross_entropy(logits, soft))
    assert float(weight) == pytest.approx(4)


def test_class_weights_are_those_of_both_labels():
    """Two images, each half of class 0 and half of class 1, whose weights are w and v: all four losses share w + v."""
    criterion = Criterion(torch.tensor([60, 10]), drw_beta=0.99)
    criterion.begin_epoch(0)
    logits = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    total, weight = target_sums(criterion, logits, Targets(torch.tensor([0, 1]), torch.tensor([1, 0]), 0.5))
    losses, weights = -logits.log_softmax(1), criterion.class_weights
    torch.testing.assert_close(total / weight, (losses * weights).sum() / (2 * weights.sum()))


@pytest.mark.parametrize(
    ("augmenter", "options", "words"),
    [
        (Mixup, {"alpha": 0}, "alpha is 0; it must be above 0"),
        (Remix, {"kappa": 0.5}, "kappa must be at least 1"),
        (Remix, {"tau": 2}, "tau between 0 and 1"),
    ],
)
def test_options_outside_their_range_are_refused(augmenter, options, words):
    with pytest.raises(ValueError, match=words):
        augmenter(image_context(COUNTS), **options)
