"""Which regions a step on fixed features has, what augmenters see of it, and what each stands for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fasa.datasets.lvis_counts import Pairs
from fasa.tasks.features.geometry import EACH, FOREGROUND, Geometry
from fasa.tasks.features.regions import TrainingImages, held_out, repeat_factors
from fasa.tasks.features.space import Features

PAIRS = Pairs(np.array([0, 0, 1, 3]), np.array([0, 2, 0, 1]), np.array([2, 1, 3, 1]), 4)  # image 2 has no class


def _steps(repeats=(1, 1, 1, 1), batch=2, most=100.0, seed=0, number=0, processes=2, apart=False):
    images = TrainingImages(PAIRS, np.array(repeats), batch, processes, apart, most, seed)
    return images, list(images.epoch(number))


def test_an_epoch_shows_every_object_once():
    images, steps = _steps()
    assert images.steps == len(steps) == 2
    shown = sorted(
        (label, number)
        for step in steps
        for label, number in zip(step.labels.tolist(), step.objects.tolist(), strict=True)
    )
    objects = [(0, number) for number in range(5)] + [(1, 0), (2, 0)]
    assert shown == sorted(objects * EACH)


def test_images_shown_more_often_show_their_objects_more_often():
    _, steps = _steps(repeats=(1, 3, 1, 1))
    labels = torch.cat([step.labels for step in steps])
    assert labels.bincount().tolist() == [(2 + 3 * 3) * EACH, EACH, EACH]


def test_weights_add_up_to_the_share_of_foreground():
    """Whatever is left out: on average over many epochs, of all and of each class."""
    for most in (100.0, 0.3):
        images = TrainingImages(PAIRS, np.ones(4, int), 2, 1, False, most, 0)
        of_class = torch.zeros(3)
        for number in range(3000):
            for step in images.epoch(number):
                of_class.index_add_(0, step.labels, step.weights)
        total = of_class / (3000 * images.steps)
        assert total.sum().item() == pytest.approx(FOREGROUND, rel=0.02)
        assert (total / total.sum()).tolist() == pytest.approx([5 / 7, 1 / 7, 1 / 7], rel=0.06)


def test_a_class_is_thinned_to_its_limit():
    images = TrainingImages(PAIRS, np.ones(4, int), 2, 1, False, 0.5, 0)
    # Objects a step: 2.5, 0.5, 0.5.
    assert images.kept.tolist() == pytest.approx([0.2, 1, 1])


def test_a_process_has_the_images_of_its_part_of_the_batch():
    _, steps = _steps(batch=4)
    (step,) = steps
    seen = step.observed
    names = zip(seen.labels.tolist(), seen.objects.tolist(), strict=True)
    of_object = dict(zip(names, seen.process.tolist(), strict=True))
    assert len(of_object) == 7 and set(of_object.values()) <= {0, 1}
    assert of_object[0, 0] == of_object[0, 1] == of_object[2, 0], "objects of image 0 are together"
    assert of_object[0, 2] == of_object[0, 3] == of_object[0, 4], "and those of image 1"


def _seen(step):
    seen = step.observed
    return sorted(zip(seen.labels.tolist(), seen.objects.tolist(), seen.process.tolist(), strict=True))


def test_augmenters_see_whole_batches_whatever_the_loss_leaves_out():
    """All objects of a class in one iteration of the paper, twice each."""
    for number in range(5):
        _, (step,) = _steps(repeats=(0, 20, 0, 0), batch=20, most=0.1, number=number, processes=1)
        assert len(step.labels) < 10
        seen = _seen(step)
        assert {label for label, *_ in seen} == {0} and {number for _, number, _ in seen} == {2, 3, 4}
        assert len(seen) == 20 * 3 * EACH, "20 images are one iteration of 16"


def test_of_many_iterations_in_a_step_augmenters_see_one():
    _, (step,) = _steps(repeats=(0, 64, 0, 0), batch=64, processes=2)
    assert len(_seen(step)) == 16 * 3 * EACH and {process for *_, process in _seen(step)} == {0, 1}


def test_a_process_with_statistics_of_its_own_sees_an_iteration_of_its_own_images():
    _, (step,) = _steps(repeats=(0, 64, 0, 0), batch=64, processes=2, apart=True)
    of_process = [sum(process == each for *_, process in _seen(step)) for each in (0, 1)]
    assert of_process == [8 * 3 * EACH, 8 * 3 * EACH]


def test_an_iteration_is_chosen_by_chance_and_each_class_has_its_own():
    """Of 64 images the two of class 1 are in one iteration or in two: the class is seen with two objects or one."""
    sizes = set()
    for number in range(60):
        _, (step,) = _steps(repeats=(0, 62, 0, 2), batch=64, number=number)
        of_class = [sum(label == each for label, *_ in _seen(step)) for each in (0, 1)]
        assert of_class[0] in {14 * 3 * EACH, 15 * 3 * EACH, 16 * 3 * EACH}
        sizes.add(of_class[1])
    assert sizes == {EACH, 2 * EACH}


def test_a_group_of_bags_counts_as_often_as_in_a_detectors_steps():
    """As often as two images have it, beside a step with all its chance: both simulated."""
    repeats, group = np.array([2, 1, 4, 1]), np.array([1, 0, 0])
    images = TrainingImages(PAIRS, repeats, 4, 1, False, 0.3, 0)
    rng = np.random.default_rng(0)
    shown = np.repeat(np.arange(4), repeats)
    has = np.array([[True, True], [False, True], [False, False], [True, False]])  # image, group
    pairs = has[rng.choice(shown, (200_000, 2))].any(1).mean(0)
    there = np.zeros((200_000, 2), dtype=bool)
    drawn = rng.choice(shown, (200_000, 4))
    for image, label, objects in zip(PAIRS.image, PAIRS.label, PAIRS.objects, strict=True):
        number = (drawn == image).sum(1) * objects
        there[:, group[label]] |= rng.binomial(number, images.kept[label]) > 0
    assert images.group_weights(group).tolist() == pytest.approx((pairs / there.mean(0)).tolist(), rel=0.01)


def test_order_follows_from_seed_and_epoch():
    def labels(**given):
        return [step.labels.tolist() for step in _steps(**given)[1]]

    assert labels(seed=1, number=3) == labels(seed=1, number=3)
    assert any(labels(seed=1, number=3) != labels(seed=1, number=n) for n in range(4, 9))


def test_repeat_factors_by_hand():
    """Shares 1/2, 1/4, 1/4 of the images; with t = 1/2 the factors of the classes are 1, sqrt 2, sqrt 2."""
    assert repeat_factors(PAIRS, 0.5).tolist() == pytest.approx([math.sqrt(2), 1, 1, math.sqrt(2)])
    assert repeat_factors(PAIRS, 0.25).tolist() == [1, 1, 1, 1]


def test_held_out_regions_stand_for_all_objects_of_the_images_that_count():
    features = Features(Geometry(dim=4), np.array([5, 1, 1]), 0)
    found = held_out(PAIRS, np.array([1.0, 2.0, 1.0, 0.0]), features, 100, "watched")
    assert found.labels.bincount().tolist() == [5, 0, 1, 6], "image 3 is left out, and background is as many"
    of_class = torch.zeros(4, dtype=torch.double).index_add_(0, found.labels, found.weights)
    assert of_class[:3].tolist() == [2 + 2 * 3, 0, 1]
    assert (of_class[:3].sum() / of_class.sum()).item() == pytest.approx(FOREGROUND)
    thinned = held_out(PAIRS, np.ones(4), features, 2, "watched")
    assert set(thinned.weights[thinned.labels == 0].tolist()) <= {2.5}, "2 of 5 stand for all"
