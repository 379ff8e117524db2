"""What must hold of generated scenes: LVIS's tail, company of head and tail, occlusion, and federated labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fasa.datasets.glyphs.canvas import Canvas
from fasa.datasets.glyphs.catalogue import glyphs
from fasa.datasets.glyphs.plan import Plan, plan
from fasa.datasets.glyphs.scene import draw_scene
from fasa.datasets.glyphs.spec import GlyphScenes, Look
from fasa.datasets.glyphs.tail import LVIS_GROUPS, frequencies, instance_counts, log_counts, repeat_threshold
from fasa.errors import UserError

MINI = GlyphScenes(classes=60, train_images=900, val_images=300, side=128, objects=(3, 8))
LOOK = Look(side=96)


@pytest.fixture(scope="module")
def mini() -> Plan:
    return plan(MINI)


def counted(scenes, what: str = "annotated") -> np.ndarray:
    return np.bincount([label for scene in scenes for label in getattr(scene, what)], minlength=MINI.classes)


@pytest.mark.parametrize(("classes", "total"), [(60, 5000), (1203, 100_000), (1203, 1_270_141), (8, 80)])
def test_the_tail_has_the_shape_of_lvis(classes, total):
    counts = instance_counts(classes, total)
    assert counts.sum() == total and counts[0] == 1
    logs = np.log(counts)
    assert np.corrcoef(logs, log_counts(classes))[0, 1] > 0.985
    quarters = np.quantile(logs, (0.25, 0.5, 0.75)) / logs[-1]
    expected = np.quantile(log_counts(classes), (0.25, 0.5, 0.75)) / log_counts(classes)[-1]
    np.testing.assert_allclose(quarters, expected, atol=0.06)


def test_at_the_papers_size_the_tail_is_lvis_itself():
    counts = instance_counts(1203, 1_270_141)
    assert counts[602] == pytest.approx(93, abs=5)  # LVIS's median class
    assert counts[-1] == pytest.approx(50_552, rel=0.25)


def test_scenes_hold_the_tail_exactly(mini):
    assert counted(mini.scenes["train"]).tolist() == mini.instance_counts.tolist()
    sizes = [len(scene.annotated) for scene in mini.scenes["train"]]
    assert min(sizes) == 3 and max(sizes) == 8 and sum(sizes) == mini.instance_counts.sum()
    images = np.bincount([c for scene in mini.scenes["train"] for c in set(scene.annotated)], minlength=60)
    assert images.tolist() == mini.image_counts.tolist()


def test_frequency_groups_have_the_shares_of_lvis(mini):
    for letter, number in LVIS_GROUPS.items():
        assert mini.frequency.count(letter) / 60 == pytest.approx(number / 1203, abs=0.05)
    for letter, images in zip(mini.frequency, mini.image_counts, strict=True):
        assert letter == ("r" if images <= mini.bounds[0] else "c" if images <= mini.bounds[1] else "f")


def test_lvis_bounds_come_back_from_lvis_counts():
    letters, bounds = frequencies(np.repeat([5, 10, 50, 100, 500, 1900], [200, 137, 300, 161, 300, 105]))
    assert bounds == (10, 100)
    assert [letters.count(letter) for letter in "rcf"] == [337, 461, 405]
    assert repeat_threshold(bounds, 100_170) == pytest.approx(1e-3, rel=0.01)


def test_repeat_factor_sampling_repeats_head_classes_too(mini):
    threshold = repeat_threshold(mini.bounds, MINI.train_images)
    factors = np.maximum(1, np.sqrt(threshold / (mini.image_counts / MINI.train_images)))
    repeated = np.zeros(60)
    for scene in mini.scenes["train"]:
        repeats = np.ceil(max(factors[list(scene.annotated)]))
        np.add.at(repeated, list(scene.annotated), repeats)
    head = np.array(mini.frequency) == "f"
    assert repeated[head].sum() > 1.1 * mini.instance_counts[head].sum()


def test_the_tail_keeps_company_with_certain_head_classes(mini):
    scenes = mini.scenes["train"]
    head = np.flatnonzero(np.array(mini.frequency) == "f")
    everywhere = np.array([np.mean([label in scene.annotated for scene in scenes]) for label in head])
    lifts, purities = [], []
    for label in np.flatnonzero(mini.image_counts >= 5):
        if mini.frequency[label] == "f":
            continue
        with_it = [scene for scene in scenes if label in scene.annotated]
        beside = np.array([np.mean([other in scene.annotated for scene in with_it]) for other in head])
        lifts.append(np.max(beside / everywhere))
        themes = Counter(scene.theme for scene in with_it)
        purities.append(themes.most_common(1)[0][1] / len(with_it))
    assert np.median(lifts) > 1.5  # some head class is half as often again beside it as elsewhere
    assert np.mean(purities) > 0.5  # of eight themes, most classes of the tail know one


def test_a_head_class_comes_in_numbers(mini):
    crowding = mini.instance_counts / mini.image_counts
    frequency = np.array(mini.frequency)
    assert crowding[frequency == "f"].mean() > 1.5 > crowding[frequency == "r"].mean()


def test_val_is_even_and_lacks_some_rare_classes(mini):
    counts = counted(mini.scenes["val"])
    assert counts[counts > 0].min() >= 12
    assert counts.max() < 5 * counts[counts > 0].min()
    lacking = [mini.frequency[label] for label in np.flatnonzero(counts == 0)]
    assert sorted(lacking) == ["c", "r", "r", "r"]  # 6% of 60
    assert all(scene.annotated for scene in mini.scenes["val"])


@pytest.mark.parametrize("split", ["train", "val"])
def test_labels_are_federated(mini, split):
    scenes = mini.scenes[split]
    for scene in scenes:
        shown, hidden = set(scene.annotated), set(scene.unannotated)
        assert not set(scene.negatives) & (shown | hidden)
        assert 4 <= len(scene.negatives) <= 12
        assert set(scene.not_exhaustive) == shown & hidden
        assert not any(mini.frequency[label] == "r" for label in hidden)
    share = sum(len(scene.unannotated) for scene in scenes) / sum(len(scene.annotated) for scene in scenes)
    assert share == pytest.approx(0.1, abs=0.02)
    assert np.mean([bool(scene.not_exhaustive) for scene in scenes]) > 0.05
    assert counted(scenes, "negatives").min() >= 12


def test_another_seed_gives_another_plan_and_the_same_seed_the_same(mini):
    assert plan(MINI).scenes == mini.scenes
    other = plan(GlyphScenes(**{**MINI.to_json(), "seed": 1}))
    assert other.scenes != mini.scenes and sorted(other.instance_counts) != other.instance_counts.tolist()


def test_masks_are_what_shows_of_each_figure():
    canvas = Canvas(np.random.default_rng(0), Look(side=64, texture=0, most_hidden=0.6))
    square = np.full((20, 20), 255, dtype=np.uint8)
    assert canvas.place(square, 10, 10)
    assert canvas.place(square, 20, 20)
    assert not canvas.place(np.full((30, 30), 255, dtype=np.uint8), 0, 0)  # it would leave nothing of the first
    assert not canvas.place(square, 54, 54)  # three quarters of it are beyond the corner
    for top, left in ((-30, 5), (5, -30), (70, 5), (5, 70), (64, 64)):
        assert not canvas.place(square, top, left)  # it is outside
    assert canvas.place(square, -8, 40)  # cut off, but 0.6 of it is there
    first, second, third = np.zeros((3, 64, 64), dtype=bool)
    first[10:30, 10:30], second[20:40, 20:40], third[0:12, 40:60] = True, True, True
    np.testing.assert_array_equal(canvas.mask(0), first & ~second)
    np.testing.assert_array_equal(canvas.mask(1), second)
    np.testing.assert_array_equal(canvas.mask(2), third)
    for figure, mask in ((2, second), (3, third)):
        assert np.abs(canvas.pixels[mask] - canvas.tones[figure]).max() < 1e-3


def test_scenes_show_enough_of_everything_and_in_all_sizes():
    alphabet = glyphs(0, 40)
    sides, shared = [], 0
    for number in range(40):
        objects = [alphabet[(number + k) % 40] for k in range(7)]
        scene = draw_scene(np.random.SeedSequence(5, spawn_key=(number,)), objects, LOOK)
        assert scene.pixels.shape == (96, 96, 3) and scene.pixels.dtype == np.uint8
        assert len(scene.masks) == 7 and np.sum(scene.masks, axis=0).max() == 1
        for mask in scene.masks:
            assert mask.sum() >= 12
            rows, columns = np.nonzero(mask)
            sides.append(max(np.ptp(rows), np.ptp(columns)) + 1)
        again = draw_scene(np.random.SeedSequence(5, spawn_key=(number,)), objects, LOOK)
        np.testing.assert_array_equal(again.pixels, scene.pixels)
        taken = np.sum(scene.masks, axis=0)
        shared += sum(taken[np.ix_(mask.any(1), mask.any(0))].sum() > mask.sum() for mask in scene.masks)
    assert np.quantile(sides, 0.95) / np.quantile(sides, 0.05) > 2.5
    assert shared > 0.3 * len(sides)  # objects in whose box there are others


def test_figures_contrast_with_the_ground():
    distances = []
    for number in range(100):
        canvas = Canvas(np.random.default_rng(number), LOOK)
        canvas.place(np.full((20, 20), 255, dtype=np.uint8), 20, 20)
        distances.append(np.abs(canvas.tones[0] - canvas.tones[1]).max())
    assert min(distances) > 35


def test_glyphs_turn_by_at_most_the_angle(monkeypatch):
    bar = glyphs(54, 1)[0]
    rng = np.random.default_rng(0)
    turned = [Canvas(rng, LOOK).stamp(bar, 40).shape for _ in range(20)]
    monkeypatch.setattr("fasa.datasets.glyphs.canvas.TURN", 0)
    straight = [Canvas(rng, LOOK).stamp(bar, 40).shape for _ in range(20)]
    assert len(set(turned)) > len(set(straight))
    assert max(max(shape) for shape in straight) <= 40 * 1.08 + 1  # its longest side, and the stretch


def test_a_crowd_that_cannot_fit_is_said():
    with pytest.raises(UserError, match="50 objects do not fit into 32 pixels"):
        draw_scene(np.random.SeedSequence(0), glyphs(0, 50), Look(side=32, size=(0.3, 0.6)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 1}, "classes is 1, but must be at least 2"),
        ({"classes": 1600}, "the catalogue has 1565"),
        ({"train_images": 0}, "train_images is 0"),
        ({"val_images": "many"}, "val_images is 'many', but must be a number"),
        ({"side": 128.5}, "side is 128.5, but must be a whole number"),
        ({"side": 16}, "side is 16, but must be between 32 and 1024"),
        ({"objects": (5, 3)}, "its first number must not exceed its second"),
        ({"objects": 5}, "objects is 5, but must be two numbers"),
        ({"objects": (0, 3)}, r"objects is \(0, 3\), but must be between 1 and 64"),
        ({"size": (0.01, 0.5)}, "size is"),
        ({"most_hidden": 0.9}, "most_hidden is 0.9, but must be between 0 and 0.7"),
        ({"texture": 3}, "texture is 3.0"),
        ({"turn": 45.0}, "turn is no option: choose from classes, train_images"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": True}, "seed is True"),
    ],
)
def test_mistakes_in_a_spec_are_named(change, message):
    with pytest.raises(UserError, match=message):
        GlyphScenes.from_json({**MINI.to_json(), **change})


def test_a_missing_option_is_named():
    with pytest.raises(UserError, match="glyphs: val_images is missing"):
        GlyphScenes.from_json({"classes": 60, "train_images": 900, "side": 128})


def test_a_tail_needs_objects():
    spec = GlyphScenes(classes=60, train_images=10, val_images=10, side=64, objects=(2, 3), size=(0.2, 0.5))
    with pytest.raises(UserError, match="a tail like LVIS's over 60 classes"):
        plan(spec)


def test_a_tail_needs_images():
    spec = GlyphScenes(classes=2, train_images=1, val_images=10, side=64, objects=(6, 6), size=(0.2, 0.5))
    with pytest.raises(UserError, match="all 2 classes are in 1 images"):
        plan(spec)
