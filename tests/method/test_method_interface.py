"""FASA in a stranger's model: what it shows, what it takes, and what it says of shapes that it cannot take."""

from __future__ import annotations

import pytest
import torch

import fasa
from fasa import FASA

COUNTS = [40, 20, 5]


def test_the_package_shows_its_names():
    assert {"FASA", "fasa_paper", "fasa_released", "__version__"} <= set(dir(fasa))


def test_it_shows_its_settings():
    shown = repr(FASA(COUNTS, 8, momentum=0.2, grouping="class", draws_per_step=5))
    assert shown.startswith("FASA(classes=3, feature_dim=8, momentum=0.2, draws_per_step=5, loss_weight=0.1, ")
    assert "grouping='class'" in shown and "initialisation='inverse_frequency'" in shown
    assert eval(shown.replace("classes=3", f"class_counts={COUNTS}")).extra_repr() in shown


@pytest.mark.parametrize("reduction", ["pooled", "class_mean", "share_sum"])
def test_losses_of_samples_adapt_as_their_sums_do(reduction):
    """In two epochs; label 3 is background, which only ``share_sum`` counts."""
    made = [FASA(COUNTS, 2, grouping="class", reduction=reduction) for _ in range(2)]
    for each in made:
        each.observe(torch.rand(6, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 2]))
    for losses in ([1.0, 3.0, 2.0, 4.0, 9.0], [2.0, 1.0, 3.0, 4.0, 1.0]):
        labels = torch.tensor([0, 0, 1, 2, 3])
        made[0].adapt(losses=torch.tensor(losses), labels=labels)
        sums = torch.zeros(4).index_add_(0, labels, torch.tensor(losses))
        made[1].adapt(sums, labels.bincount(minlength=4))
    before = FASA(COUNTS, 2).probabilities
    assert torch.equal(made[0].probabilities, made[1].probabilities)
    torch.testing.assert_close(made[0].probabilities, before * torch.tensor([1.1, 0.9, 1.0]))
    assert torch.equal(made[0].previous, made[1].previous)


def test_half_precision_and_small_integers_are_taken():
    adapted = FASA(COUNTS, 2, grouping="class")
    adapted.observe(torch.rand(3, 2).half(), torch.tensor([0, 1, 2], dtype=torch.uint8))
    adapted.adapt(losses=torch.tensor([1.0, 2.0]).half(), labels=torch.tensor([0, 1], dtype=torch.int16))
    assert adapted.previous[:2].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("features", "labels", "words"),
    [
        (torch.rand(2, 8, 7, 7), torch.tensor([0, 1]), r"shape \[2, 8, 7, 7\]: they are maps; pool them to \[n, 8\]"),
        (torch.rand(2, 7), torch.tensor([0, 1]), r"shape \[2, 7\]; they must be \[n, 8\], the classifier's input"),
        (torch.rand(8), torch.tensor([0]), r"shape \[8\]; they must be \[n, 8\]"),
        (torch.rand(2, 8), torch.eye(3)[:2], r"shape \[2, 3\]: they are one-hot; give labels.argmax\(1\)"),
        (torch.rand(2, 8), torch.tensor([0.0, 1.0]), r"type torch.float32; give whole numbers, .* labels.long\(\)"),
        (torch.rand(2, 8), torch.tensor([0, 1, 2]), r"shape \[3\]; there must be one for each of 2 features"),
    ],
)
def test_other_shapes_are_told_in_a_sentence(features, labels, words):
    with pytest.raises(ValueError, match=words):
        FASA(COUNTS, 8).observe(features, labels)


LOSSES, LABELS = torch.rand(3), torch.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"losses": LOSSES}, "adapt needs losses and labels of all samples, or loss_sum and count"),
        ({"losses": LOSSES, "labels": LABELS, "count": LABELS}, "adapt needs losses and labels of all samples, or"),
        ({"losses": torch.rand(3, 3), "labels": LABELS}, r"losses have the shape \[3, 3\]; they must be \[n\], one nu"),
        ({"losses": LOSSES, "labels": LABELS.float()}, "labels are of the type torch.float32"),
        ({"losses": LOSSES, "labels": torch.eye(3)}, "one-hot"),
    ],
)
def test_what_adaptation_cannot_read_is_told(given, words):
    adapted = FASA(COUNTS, 8)
    with pytest.raises(ValueError, match=words):
        adapted.adapt(**given)
    assert int(adapted.epoch) == 0
