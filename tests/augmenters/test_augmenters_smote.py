"""SMOTE: its memory, its neighbours, its interpolation, and that all else is FASA's static sampling."""

from __future__ import annotations

import pytest
import torch
from toys import batch_of, image_context, seeded, set_static_shapes

from fasa.augmenters.fasa import FasaAugmenter
from fasa.augmenters.smote import Smote, interpolate, remember

COUNTS = [40, 20, 5]


def smote(start_epoch: int = 0, counts=COUNTS, **options) -> Smote:
    torch.manual_seed(0)
    return Smote(image_context(counts), start_epoch=start_epoch, **options)


def test_the_memory_is_a_ring_of_each_class():
    queue, seen = torch.zeros(3, 3, 1), torch.zeros(2, dtype=torch.long)
    remember(queue, seen, torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([0, 1, 0, 2]))  # 2: background
    assert queue[:2, :, 0].tolist() == [[1, 3, 0], [2, 0, 0]]
    remember(queue, seen, torch.tensor([[5.0], [6.0]]), torch.tensor([0, 0]))
    assert queue[:2, :, 0].tolist() == [[6, 3, 5], [2, 0, 0]]
    assert seen.tolist() == [4, 1]


def test_a_batch_larger_than_the_memory_leaves_its_last_features():
    queue, seen = torch.zeros(2, 3, 1), torch.tensor([1])
    remember(queue, seen, torch.arange(8.0)[:, None], torch.zeros(8, dtype=torch.long))
    assert sorted(queue[0, :, 0].tolist()) == [5, 6, 7]
    assert queue[0, seen % 3, 0] == 5  # the oldest is next to go
    assert int(seen) == 9


def test_partners_are_the_nearest_by_cosine_not_by_distance():
    """From (1, 0), (9, 1) is nearer by angle than (0, .5), which is nearer by length."""
    stored = torch.tensor([[[1.0, 0.0], [9.0, 1.0], [0.0, 0.5]]]).expand(400, -1, -1)
    made = interpolate(stored, torch.full((400,), 3), 1, seeded())
    # With one neighbour the features lie on the segments between (1, 0), (9, 1) and between (0, .5), (9, 1).
    on_first = ((made[:, 0] - 1) / 8 - made[:, 1]).abs() < 1e-5
    on_second = ((made[:, 0] / 9) * 0.5 + 0.5 - made[:, 1]).abs() < 1e-5
    assert (on_first | on_second).all()
    assert on_first.any() and on_second.any()


def test_partners_are_the_nearest_by_cosine_not_by_product():
    stored = torch.tensor([[[1.0, 0.0], [2.0, 0.1], [9.0, 9.0]]]).expand(200, -1, -1)
    made = interpolate(stored, torch.full((200,), 3), 1, seeded())
    assert (made[:, 1] < 0.11).any()
    from_first = (made[:, 0] < 2) & (made[:, 1] > 0)
    assert (made[from_first, 1] < 0.11).all()


def test_the_weight_of_the_origin_is_uniform():
    stored = torch.tensor([[[0.0], [1.0]]]).expand(20_000, -1, -1)
    made = interpolate(stored, torch.full((20_000,), 2), 1, seeded()).squeeze(1)
    assert float(made.min()) >= 0 and float(made.max()) <= 1
    for share in (0.25, 0.5, 0.75):
        assert float((made < share).float().mean()) == pytest.approx(share, abs=0.02)


def test_all_k_neighbours_are_met_and_none_further():
    angle = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 1.0])
    stored = torch.stack([angle.cos(), angle.sin()], 1)[None].expand(3000, -1, -1)
    made = interpolate(stored, torch.full((3000,), 6), 2, seeded())
    angles = torch.atan2(made[:, 1], made[:, 0])
    # From 1.0 the nearest are .4 and .3; only the chord to the latter comes this close to the circle's centre.
    assert float((made.norm(dim=1) < 0.95).float().mean()) > 0.02
    assert float(angles.max()) > 0.9  # the far one is met as an origin
    assert 1 / 6 * 0.5 < float((angles > 0.41).float().mean()) < 1 / 6


def test_only_what_is_stored_takes_part():
    stored = torch.full((200, 5, 2), torch.nan)
    stored[:, 0], stored[:, 1] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    made = interpolate(stored.nan_to_num(99.0), torch.full((200,), 2), 4, seeded())
    torch.testing.assert_close(made.sum(1), torch.ones(200))
    alone = interpolate(stored.nan_to_num(99.0), torch.ones(200, dtype=torch.long), 4, seeded())
    assert torch.equal(alone, stored[:, 0])


def test_probabilities_and_epochs_are_those_of_static_fasa():
    fasa = FasaAugmenter(image_context(COUNTS), draws_per_step=5.0, adaptive=False).fasa
    augmenter = Smote(image_context(COUNTS))
    assert torch.equal(augmenter.probabilities, fasa.probabilities)
    features, labels = torch.rand(12, 4), torch.arange(3).repeat(4)
    assert augmenter.loss(batch_of(features, labels)) == 0  # the first epoch
    entry = augmenter.end_epoch(lambda: pytest.fail("static sampling must not look at held-out images"))
    assert entry["probabilities"] == augmenter.probabilities.tolist()
    assert augmenter.loss(batch_of(features, labels)) > 0
    augmenter.eval()
    seen = augmenter.seen.clone()
    assert augmenter.loss(batch_of(features, labels)) == 0
    assert torch.equal(augmenter.seen, seen)


@pytest.mark.parametrize("static", [False, True])
def test_the_loss_is_a_tenth_of_the_mean_of_the_drawn_classes(static, monkeypatch):
    """One feature a class: the virtual features are the features themselves, and p = 1 draws all that were seen."""
    set_static_shapes(monkeypatch, static)  # as on a GPU
    augmenter = smote(draws_per_step=100.0)
    features, labels = torch.rand(3, 4, generator=seeded(3)), torch.tensor([0, 2, 3])  # 3: background
    expected = torch.nn.functional.cross_entropy(augmenter.context.classifier(features[:2]), labels[:2])
    torch.testing.assert_close(augmenter.loss(batch_of(features, labels)), 0.1 * expected)


@pytest.mark.parametrize("static", [False, True])
def test_a_criterion_that_averages_by_itself(static, monkeypatch):
    set_static_shapes(monkeypatch, static)
    t = image_context(COUNTS)
    t.criterion = torch.nn.functional.cross_entropy
    augmenter = Smote(t, start_epoch=0, draws_per_step=100.0)
    features, labels = torch.rand(2, 4), torch.tensor([0, 2])
    expected = torch.nn.functional.cross_entropy(augmenter.context.classifier(features), labels)
    torch.testing.assert_close(augmenter.loss(batch_of(features, labels)), 0.1 * expected)


def test_the_classifier_alone_learns_from_it():
    augmenter = smote(draws_per_step=100.0)
    features = torch.rand(12, 4, requires_grad=True)
    augmenter.loss(batch_of(features, torch.arange(3).repeat(4))).backward()
    assert features.grad is None
    assert augmenter.context.classifier.fc.weight.grad.abs().sum() > 0
    assert not list(augmenter.parameters())


def test_the_memory_is_in_the_checkpoint():
    first = smote(draws_per_step=100.0)
    first.loss(batch_of(torch.rand(12, 4), torch.arange(3).repeat(4)))
    second = smote(draws_per_step=100.0)
    second.load_state_dict(first.state_dict())
    for augmenter in (first, second):
        augmenter.context.generator.manual_seed(7)
    features, labels = torch.rand(6, 4), torch.arange(3).repeat(2)
    assert torch.equal(first.loss(batch_of(features, labels)), second.loss(batch_of(features, labels)))


@pytest.mark.parametrize("options", [{"neighbours": 0}, {"memory": 1}, {"draws_per_step": -1.0}, {"loss_weight": -0.1}])
def test_arguments_outside_their_range(options):
    with pytest.raises(ValueError, match="must"):
        smote(**options)


@pytest.mark.parametrize("static", [False, True])
def test_before_anything_was_seen(static, monkeypatch):
    set_static_shapes(monkeypatch, static)
    loss = smote(draws_per_step=100.0).loss(batch_of(torch.rand(2, 4), torch.tensor([3, 3])))
    assert loss == 0
