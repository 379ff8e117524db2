"""M2m on toy networks: when it acts, whom it picks, and that it leaves no trace."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from toys import Oracle, image_context, seeded

from fasa.augmenters.m2m import M2m

COUNTS = [60, 30, 12, 3]
SURE = [0.25] * 4


def active(counts=COUNTS, teacher=None, **options) -> M2m:
    m2m = M2m(
        image_context(counts, teacher=teacher or Oracle(SURE)), **{"start_epoch": 3, "confidence": 0.0, **options}
    )
    m2m.begin_epoch(3)
    return m2m


def batch(per_class: int = 8, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(classes).repeat(per_class)
    return torch.rand(len(labels), 3, 4, 4, generator=seeded(1)), labels


def test_m2m_sleeps_until_its_epoch():
    m2m = active()
    m2m.begin_epoch(2)
    before = m2m.context.generator.get_state()
    images, labels = batch()
    assert m2m.select(labels) is labels
    assert m2m.images(images, labels)[0] is images
    assert torch.equal(m2m.context.generator.get_state(), before)
    m2m.begin_epoch(3)
    assert m2m.select(labels) is not labels


def test_m2m_needs_a_teacher():
    with pytest.raises(ValueError, match="teacher"):
        M2m(image_context(COUNTS))


def test_m2m_draws_classes_alike():
    m2m = active()
    chosen = m2m.context.labels[m2m.select(torch.zeros(8000, dtype=torch.long))]
    assert len(chosen) == 8000
    for c in range(4):
        assert float((chosen == c).float().mean()) == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 8000) ** 0.5)


def watched(m2m: M2m) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Let ``m2m`` translate into black images and note (sources, targets)."""
    seen = []

    def translate(images, sources, targets):
        seen.append((sources, targets))
        return torch.zeros_like(images), torch.ones(len(images), dtype=torch.bool)

    m2m._translate = translate
    return seen


def test_m2m_slots_and_seeds():
    m2m = active(beta=0.9)
    seen = watched(m2m)
    images, labels = batch()
    replaced = torch.zeros(4)
    rounds = 300
    for _ in range(rounds):
        made, kept = m2m.images(images, labels)
        assert kept is labels
        black = (made == 0).all(3).all(2).all(1)
        assert torch.equal(made[~black], images[~black])
        replaced.index_add_(0, labels, black.float())
    sources, targets = (torch.cat(x) for x in zip(*seen, strict=True))
    counts = torch.tensor(COUNTS)
    assert (counts[sources] > counts[targets]).all()
    for c in range(4):
        share = 1 - COUNTS[c] / 60
        tolerance = 5 * (share * (1 - share) / (8 * rounds)) ** 0.5
        assert float((targets == c).sum()) / (8 * rounds) == pytest.approx(share, abs=tolerance)
    # A slot of class 1 takes a seed of class 0 and is accepted with that seed's weight, 1 - .9^30.
    slots = float((targets == 1).sum())
    assert float(replaced[1]) / slots == pytest.approx(1 - 0.9**30, abs=5 * (0.0424 * 0.9576 / slots) ** 0.5)
    # Class 3 has seeds in 0, 1 and 2, drawn by their weights.
    weights = [1 - 0.9 ** (COUNTS[c] - 3) for c in range(3)]
    of_rarest = sources[targets == 3]
    for c in range(3):
        expected = weights[c] / sum(weights)
        assert float((of_rarest == c).float().mean()) == pytest.approx(expected, abs=5 * (0.25 / len(of_rarest)) ** 0.5)


def test_m2m_drops_slots_without_a_larger_class_in_the_batch():
    m2m = active()
    seen = watched(m2m)
    images, labels = torch.rand(20, 3, 4, 4), torch.full((20,), 2)
    for _ in range(10):
        assert m2m.images(images, labels)[0] is images
    assert not seen


@pytest.mark.parametrize(("confidence", "replaced"), [(0.25, True), (0.26, False)])
def test_m2m_keeps_the_original_where_the_teacher_is_not_sure(confidence, replaced):
    """The teacher gives each class .25; beta 0 accepts every seed."""
    m2m = active(beta=0.0, confidence=confidence)
    images, labels = batch()
    made, kept = m2m.images(images, labels)
    changed = (made != images).flatten(1).any(1)
    assert bool(changed.any()) == replaced
    assert not changed[labels == 0].any()
    assert torch.equal(kept, labels)
    assert not made.requires_grad


def test_m2m_steps_have_length_eta_and_convince_the_teacher():
    teacher = Oracle(SURE, sway=0.5)
    m2m = active(teacher=teacher, push=0.0, steps=4, step_size=0.07)
    path = []
    m2m.context.normalise = lambda images: path.append(images.detach().clone()) or images
    images, targets = torch.full((5, 3, 4, 4), 0.5), torch.tensor([1, 2, 3, 1, 2])
    made, _ = m2m._translate(images, torch.zeros(5, dtype=torch.long), targets)
    assert torch.equal(made, path[-1])
    assert len(path) == 5  # before each of four steps, and once at the end
    noise = path[0] - images
    assert 0 < float(noise.transpose(0, 1).flatten(1).norm(dim=1).max()) <= 0.5 + 1e-5  # per channel, as released
    for before, after in pairwise(path):
        torch.testing.assert_close((after - before).flatten(1).norm(dim=1), torch.full((5,), 0.07))
    probability = [teacher(x).softmax(1).gather(1, targets[:, None]).squeeze(1) for x in (path[0], made)]
    assert (probability[1] > probability[0]).all()


def test_m2m_pushes_the_network_off_the_seeds_class():
    m2m = active(push=100.0, steps=5)  # the teacher is indifferent: only the push is left
    t = m2m.context
    images, sources = torch.full((6, 3, 4, 4), 0.5), torch.tensor([0, 1, 2, 0, 1, 2])

    def logit(x):
        t.network.eval()
        return t.classifier(t.network(x).mean((2, 3))).gather(1, sources[:, None]).squeeze(1)

    made, _ = m2m._translate(images, sources, torch.full((6,), 3))
    assert (logit(made) < logit(images)).all()
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1


def test_m2m_leaves_network_and_head_as_they_were():
    m2m = active(beta=0.0)
    t = m2m.context
    t.network.train()
    t.network.conv.weight.grad = torch.full_like(t.network.conv.weight, 7.0)
    before = {k: v.clone() for k, v in [*t.network.state_dict().items(), *t.classifier.state_dict().items()]}
    made, _ = m2m.images(*batch())
    assert (made != batch()[0]).any()
    assert all(module.training for module in [*t.network.modules(), *t.classifier.modules()])
    for key, value in [*t.network.state_dict().items(), *t.classifier.state_dict().items()]:
        assert torch.equal(value, before[key]), key
    gradients = [p.grad for p in [*t.network.parameters(), *t.classifier.parameters()]]
    assert torch.equal(gradients[0], torch.full_like(gradients[0], 7.0))
    assert gradients[1:] == [None] * (len(gradients) - 1)

    t.network.eval()
    m2m.images(*batch())
    assert not t.network.training
