"""Crops and flips, and the augmenters on toy networks whose every answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fasa.augmenters import Augmenter, Chu, FasaAugmenter, M2m, Trainee, Validation
from fasa.augmenters.chu import mean_softmax, tail_classes
from fasa.classification.augment import Images
from fasa.classification.heads import LinearHead
from fasa.classification.losses import Criterion


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------------ crops and flips
def split(n: int = 40, size: int = 6, pad: int = 2, flip: bool = True) -> tuple[np.ndarray, Images]:
    pixels = np.random.default_rng(0).integers(1, 256, (n, 3, size, size), dtype=np.uint8)
    return pixels, Images(torch.as_tensor(pixels), (0.5, 0.4, 0.3), (0.1, 0.2, 0.25), pad, flip)


def test_crops_are_those_of_a_plain_loop_over_images():
    pixels, images = split()
    indices = torch.tensor([3, 0, 39, 3, 17, 22, 8, 8, 1, 30])
    ours = images.cropped(indices, seeded())

    generator = seeded()
    top, left = torch.randint(0, 5, (2, len(indices), 1), generator=generator)[..., 0].tolist()
    mirrored = (torch.rand(len(indices), 1, generator=generator) < 0.5)[:, 0].tolist()
    assert 0 < sum(mirrored) < len(indices)
    for n, index in enumerate(indices.tolist()):
        padded = np.zeros((3, 10, 10), np.uint8)
        padded[:, 2:8, 2:8] = pixels[index]
        crop = padded[:, top[n] : top[n] + 6, left[n] : left[n] + 6]
        expected = crop[:, :, ::-1] if mirrored[n] else crop
        torch.testing.assert_close(ours[n], torch.tensor(expected.copy()).float() / 255)


def test_padding_is_zero_and_every_corner_is_met():
    _, images = split(n=1, pad=1)  # no pixel of the image itself is 0
    black = images.cropped(torch.zeros(500, dtype=torch.long), seeded())[:, 0] == 0
    edges = {(bool(b[0].all()), bool(b[-1].all()), bool(b[:, 0].all()), bool(b[:, -1].all())) for b in black}
    assert len(edges) == 9


@pytest.mark.parametrize(("flip", "expected"), [(True, 0.5), (False, 0.0)])
def test_only_what_may_be_mirrored_is(flip, expected):
    pixels, images = split(n=1, pad=0, flip=flip)
    crops = images.cropped(torch.zeros(1000, dtype=torch.long), seeded())
    original = torch.as_tensor(pixels[0]).float() / 255
    as_is, mirrored = ((crops == x).all((1, 2, 3)) for x in (original, original.flip(2)))
    assert (as_is | mirrored).all()
    assert float(mirrored.float().mean()) == pytest.approx(expected, abs=0.07 * expected)


def test_channels_keep_their_order_and_their_constants():
    pixels = np.stack([np.full((4, 4), value, np.uint8) for value in (255, 51, 0)])[None]
    images = Images(torch.as_tensor(pixels), (0.5, 0.4, 0.3), (0.1, 0.2, 0.25), pad=1, flip=True)
    centred = images.centred(torch.tensor([0]))
    assert centred[0, :, 2, 3].tolist() == pytest.approx([1.0, 0.2, 0.0])
    assert images.normalised(centred)[0, :, 0, 0].tolist() == pytest.approx([5.0, -1.0, -1.2])


def test_centred_images_are_the_originals():
    pixels, images = split()
    torch.testing.assert_close(images.centred(torch.tensor([7, 2])), torch.as_tensor(pixels[[7, 2]]).float() / 255)
    assert len(images) == 40


# ------------------------------------------------------------------------------------------------------ a trainee
class Toy(nn.Module):
    """3-channel images to 4-channel maps, with statistics that a careless forward pass would move."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, images):
        return self.bn(self.conv(images))


class Oracle(nn.Module):
    """A teacher that gives each class a fixed probability plus what a linear function of the pixels says."""

    def __init__(self, probabilities, sway: float = 0.0) -> None:
        super().__init__()
        self.logits = torch.tensor(probabilities).log()
        self.weight = sway * torch.randn(3 * 16, len(self.logits), generator=seeded(5))

    def forward(self, images):
        return self.logits + images.flatten(1) @ self.weight


def trainee(counts, *, network=None, head=None, teacher=None, batch=16, images=None) -> Trainee:
    counts = torch.tensor(counts)
    labels = torch.arange(len(counts)).repeat_interleave(counts)
    torch.manual_seed(0)
    images = torch.full((len(labels), 3, 4, 4), 0.5) if images is None else images
    return Trainee(
        network=network or Toy(),
        head=head or LinearHead(4, len(counts)),
        criterion=Criterion(counts),
        normalise=lambda x: x,
        load_images=lambda indices: images[indices],
        labels=labels,
        class_counts=counts,
        feature_dim=4,
        batch=batch,
        generator=seeded(),
        teacher=teacher,
    )


def test_the_plain_augmenter_changes_nothing():
    augmenter = Augmenter(trainee([3, 2]))
    images, labels, maps = torch.rand(2, 3, 4, 4), torch.tensor([0, 1]), torch.rand(2, 4, 2, 2)
    assert augmenter.select(labels) is labels
    assert augmenter.images(images, labels)[0] is images
    torch.testing.assert_close(augmenter.features(maps, labels)[0], maps.mean((2, 3)))
    assert augmenter.loss(maps, labels) is None
    assert augmenter.end_epoch(lambda: pytest.fail("no validation is needed")) == {}


# ------------------------------------------------------------------------------------------------------------ M2m
COUNTS = [60, 30, 12, 3]
SURE = [0.25] * 4


def active(counts=COUNTS, teacher=None, **options) -> M2m:
    m2m = M2m(trainee(counts, teacher=teacher or Oracle(SURE)), **{"start_epoch": 3, "confidence": 0.0, **options})
    m2m.begin_epoch(3)
    return m2m


def batch(per_class: int = 8, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(classes).repeat(per_class)
    return torch.rand(len(labels), 3, 4, 4, generator=seeded(1)), labels


def test_m2m_sleeps_until_its_epoch():
    m2m = active()
    m2m.begin_epoch(2)
    before = m2m._trainee.generator.get_state()
    images, labels = batch()
    assert m2m.select(labels) is labels
    assert m2m.images(images, labels)[0] is images
    assert torch.equal(m2m._trainee.generator.get_state(), before)
    m2m.begin_epoch(3)
    assert m2m.select(labels) is not labels


def test_m2m_needs_a_teacher():
    with pytest.raises(ValueError, match="teacher"):
        M2m(trainee(COUNTS))


def test_m2m_draws_classes_alike():
    m2m = active()
    chosen = m2m._trainee.labels[m2m.select(torch.zeros(8000, dtype=torch.long))]
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
    m2m._trainee.normalise = lambda images: path.append(images.detach().clone()) or images
    images, targets = torch.full((5, 3, 4, 4), 0.5), torch.tensor([1, 2, 3, 1, 2])
    made, _ = m2m._translate(images, torch.zeros(5, dtype=torch.long), targets)
    assert torch.equal(made, path[-1])
    assert len(path) == 5  # before each of four steps, and once at the end
    noise = path[0] - images
    assert 0 < float(noise.transpose(0, 1).flatten(1).norm(dim=1).max()) <= 0.5 + 1e-5  # per channel, as released
    for before, after in zip(path, path[1:], strict=False):
        torch.testing.assert_close((after - before).flatten(1).norm(dim=1), torch.full((5,), 0.07))
    probability = [teacher(x).softmax(1).gather(1, targets[:, None]).squeeze(1) for x in (path[0], made)]
    assert (probability[1] > probability[0]).all()


def test_m2m_pushes_the_network_off_the_seeds_class():
    m2m = active(push=100.0, steps=5)  # the teacher is indifferent: only the push is left
    t = m2m._trainee
    images, sources = torch.full((6, 3, 4, 4), 0.5), torch.tensor([0, 1, 2, 0, 1, 2])

    def logit(x):
        t.network.eval()
        return t.head(t.network(x).mean((2, 3))).gather(1, sources[:, None]).squeeze(1)

    made, _ = m2m._translate(images, sources, torch.full((6,), 3))
    assert (logit(made) < logit(images)).all()
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1


def test_m2m_leaves_network_and_head_as_they_were():
    m2m = active(beta=0.0)
    t = m2m._trainee
    t.network.train()
    t.network.conv.weight.grad = torch.full_like(t.network.conv.weight, 7.0)
    before = {k: v.clone() for k, v in [*t.network.state_dict().items(), *t.head.state_dict().items()]}
    made, _ = m2m.images(*batch())
    assert (made != batch()[0]).any()
    assert all(module.training for module in [*t.network.modules(), *t.head.modules()])
    for key, value in [*t.network.state_dict().items(), *t.head.state_dict().items()]:
        assert torch.equal(value, before[key]), key
    gradients = [p.grad for p in [*t.network.parameters(), *t.head.parameters()]]
    assert torch.equal(gradients[0], torch.full_like(gradients[0], 7.0))
    assert gradients[1:] == [None] * (len(gradients) - 1)

    t.network.eval()
    m2m.images(*batch())
    assert not t.network.training


# ------------------------------------------------------------------------------------------------------------ Chu
def test_tail_of_cifar_lt(cifar_counts):
    tail = tail_classes(cifar_counts, 0.9)
    assert torch.equal(tail, torch.arange(100) >= 48)
    assert int(cifar_counts[tail].sum()) == 1_050
    assert int(cifar_counts[tail].max()) == 53


def test_tail_follows_sizes_not_class_order():
    assert tail_classes(torch.tensor([5, 60, 3, 32]), 0.9).tolist() == [True, False, True, False]


def test_confusing_classes_are_those_that_a_classes_images_look_like():
    """Images of 0 look like 2, of 1 like 0, of 2 like 1; read by columns, 0 would be given 1."""
    colours = torch.tensor([[0.9, 0.1, 0.8], [0.8, 0.9, 0.1], [0.1, 0.8, 0.9]])
    head = LinearHead(3, 3)
    with torch.no_grad():
        head.fc.weight.copy_(5 * torch.eye(3))
        head.fc.bias.zero_()
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] * 2)
    images = colours[labels][:, :, None, None].expand(-1, -1, 4, 4)
    t = trainee([6, 3, 2], network=nn.Identity(), head=head, images=images)
    torch.testing.assert_close(mean_softmax(t), (5 * colours).softmax(1))
    assert Chu(t, confusing=1)._confusing.tolist() == [[2], [0], [1]]
    assert Chu(t, confusing=7)._confusing.shape == (3, 2)  # never the class itself


CHU_COUNTS = [500, 300, 100, 20, 15, 10, 8, 5]  # .9 of 958 images: classes 0 to 2
POSITIONS = 16


class Blank(nn.Module):
    """Any images to maps of zeros."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, images):
        return torch.zeros(len(images), self.dim, 4, 4)


def chu(dim: int, **options) -> Chu:
    head = LinearHead(dim, 8)
    t = trainee(CHU_COUNTS, network=Blank(dim), head=head, batch=128, images=torch.zeros(958, 3, 1, 1))
    return Chu(t, **options)


def test_chu_batches_are_tail_partners_head():
    augmenter = chu(4)
    labels = augmenter._labels
    indices = augmenter.select(torch.arange(128))
    assert len(indices) == 128
    tail, partners, head = labels[indices].split([16, 48, 64])
    assert (tail >= 3).all()
    assert (head < 3).all()
    for n, partner in enumerate(partners.tolist()):
        assert partner in augmenter._confusing[tail[n // 3]].tolist()
    assert len(set(partners.tolist())) > 3
    assert augmenter._confusing.shape == (8, 3)


def test_chu_features_mix_own_specific_and_the_partners_generic_positions():
    """Every position of every map is its own basis vector, so a feature spells out which positions it is the mean of."""
    dim = 128 * POSITIONS
    augmenter = chu(dim)
    labels = augmenter._labels[augmenter.select(torch.arange(128))]
    maps = torch.eye(dim).reshape(128, POSITIONS, dim).transpose(1, 2).reshape(128, dim, 4, 4)
    features, made = augmenter.features(maps, labels)

    raw = augmenter._class_weights[labels].reshape(128, 128, POSITIONS)[torch.arange(128), torch.arange(128)]
    low, high = raw.amin(1, keepdim=True), raw.amax(1, keepdim=True)
    activation = (raw - low) / (high - low)
    specific, generic = activation >= 0.3, activation <= 0.6
    owned = []
    for n in range(48):
        own, partner = n // 3, 16 + n
        parts = features[16 + n].reshape(128, POSITIONS)
        allowed = torch.zeros(128, POSITIONS, dtype=torch.bool)
        allowed[own], allowed[partner] = specific[own], generic[partner]
        assert (parts[~allowed] == 0).all()
        assert (parts >= 0).all()
        assert float(parts.sum()) == pytest.approx(1)
        owned.append(float(parts[own].sum()))
    assert min(owned) < 0.25
    assert max(owned) > 0.75
    assert torch.equal(made, torch.cat([labels[:16], labels[:16].repeat_interleave(3), labels[64:]]))
    torch.testing.assert_close(features[:16], maps[:16].mean((2, 3)))
    torch.testing.assert_close(features[64:], maps[64:].mean((2, 3)))


def test_chu_survives_flat_maps():
    augmenter = chu(4)
    labels = augmenter._labels[augmenter.select(torch.arange(128))]
    features, made = augmenter.features(torch.ones(128, 4, 4, 4), labels)
    torch.testing.assert_close(features, torch.ones(128, 4))
    assert len(made) == 128


def test_chu_remembers_phase_ones_classifier():
    augmenter = chu(4)
    before = augmenter._class_weights.clone()
    assert not augmenter._class_weights.requires_grad
    t = trainee(CHU_COUNTS, network=Blank(4), head=LinearHead(4, 8), images=torch.zeros(958, 3, 1, 1))
    later = Chu(t)
    with torch.no_grad():
        t.head.fc.weight.add_(1)
    assert torch.equal(later._class_weights, before)  # both heads began from the same seed


# ----------------------------------------------------------------------------------------------------------- FASA
def fasa(**options) -> FasaAugmenter:
    torch.manual_seed(0)
    augmenter = FasaAugmenter(trainee([40, 20, 5]), grouping="class", **options)
    augmenter.loss(torch.rand(12, 4), torch.arange(3).repeat(4))
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
    augmenter = fasa(signal="metric")
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
    augmenter = fasa(start_epoch=0, scale=100.0)
    head = augmenter._classifier.__self__
    features = torch.rand(12, 4, requires_grad=True)
    augmenter.loss(features, torch.arange(3).repeat(4)).backward()
    assert features.grad is None
    assert head.fc.weight.grad.abs().sum() > 0
    assert not list(augmenter.parameters())  # the classifier belongs to the trainee


def test_presets_and_options_reach_fasa():
    paper = FasaAugmenter(trainee([40, 20, 5])).fasa
    assert (paper.grouping, paper.reduction) == ("mean_shift", "class_mean")
    released = FasaAugmenter(trainee([40, 20, 5]), preset="fasa_released", momentum=0.3).fasa
    assert (released.grouping, released.reduction) == ("affinity_released", "share_sum")
    assert released.momentum == 0.3
    assert FasaAugmenter(trainee([40, 20, 5]), preset="fasa_released", grouping="class").fasa.grouping == "class"
