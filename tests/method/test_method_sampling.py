"""Eq 4: the first probabilities against the paper's data sets, and their adaptation by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fasa import FASA
from fasa.method.sampling import adapt, group_change, initial_probabilities, pooled_change
from fasa.safe_pickle import load_arrays

NAN = float("nan")


def original(name: str) -> Path:
    """A file of the original data sets; the test skips without it."""
    path = Path(os.environ.get("FASA_TEST_DATA", "")) / name
    if "FASA_TEST_DATA" not in os.environ or not path.exists():
        pytest.skip(f"FASA_TEST_DATA names no folder with {name}")
    return path


@pytest.fixture(scope="module")
def lvis() -> tuple[torch.Tensor, list[str], torch.Tensor]:
    """Instances, frequency letter and images of each LVIS v1 class."""
    categories = json.loads(original("lvis/lvis_v1_train_cat_info.json").read_text())
    instances, images = (torch.tensor([c[f"{what}_count"] for c in categories]) for what in ("instance", "image"))
    return instances, [c["frequency"] for c in categories], images


def test_probabilities_by_hand():
    p = initial_probabilities(torch.tensor([1, 2, 4]), draws_per_step=1.75)
    torch.testing.assert_close(p, torch.tensor([1.0, 0.5, 0.25]))  # shares 4/7, 2/7, 1/7
    torch.testing.assert_close(
        initial_probabilities(torch.tensor([1, 2, 4]), draws_per_step=3.5), torch.tensor([1, 1, 0.5])
    )


def test_uniform_probabilities_are_the_scale_over_the_classes():
    p = initial_probabilities(torch.tensor([1, 10, 100, 1000]), draws_per_step=3, initialisation="uniform")
    assert p.tolist() == [0.75] * 4


def test_lvis_probabilities(lvis):
    counts, frequency, _ = lvis
    assert (1 / counts.double()).sum().item() == pytest.approx(104.502094, abs=1e-6)
    p = initial_probabilities(counts)
    assert p.sum().item() == pytest.approx(1, rel=1e-5)  # one virtual feature a step is expected
    assert p.max().item() == pytest.approx(0.00956919, rel=1e-6)
    assert int((p == p.max()).sum()) == int((counts == 1).sum()) == 44
    assert p.min().item() == pytest.approx(1.8929e-7, rel=1e-4)
    shares = {letter: p[[f == letter for f in frequency]].sum().item() for letter in "rcf"}
    assert shares == pytest.approx({"r": 0.907, "c": 0.088, "f": 0.0053}, abs=5e-4)


def test_lvis_draws_of_a_process_that_draws_only_what_it_has_seen(lvis):
    """Virtual features to expect of a step, one of eight processes, s = 1; each epoch shows it an eighth of the images.

    docs/deviations.md, row 17, quotes them.
    """
    p = initial_probabilities(lvis[0]).double()

    def expected(epochs: int) -> float:
        return float((p * (1 - (7 / 8) ** (lvis[2] * epochs))).sum())

    assert {epochs: round(expected(epochs), 2) for epochs in (1, 2, 6, 12, 24)} == {
        1: 0.30,
        2: 0.44,
        6: 0.73,
        12: 0.89,
        24: 0.98,
    }


@pytest.mark.parametrize(("draws_per_step", "some"), [(1, 0.633), (5, 0.994), (15, 1.0)])
def test_lvis_chance_of_any_virtual_feature(lvis, draws_per_step, some):
    p = initial_probabilities(lvis[0], draws_per_step)
    assert 1 - (1 - p.double()).prod().item() == pytest.approx(some, abs=5e-4)


def test_lvis_clips_only_beyond_a_scale_of_104(lvis):
    p = initial_probabilities(lvis[0], 15)
    assert p.max().item() == pytest.approx(0.1435378, rel=1e-6)
    assert p.sum().item() == pytest.approx(15, rel=1e-5)
    assert initial_probabilities(lvis[0], 104.5).max() < 1
    assert initial_probabilities(lvis[0], 104.6).max() == 1


def test_coco_lt_probabilities():
    classes = load_arrays(original("coco_lt/class_to_imageid_and_inscount_coco_sampled.pt").read_bytes(), "coco_lt")
    counts = torch.tensor([entry["isntance_count"] for entry in classes.values()])
    assert (counts.min(), counts.max(), counts.sum()) == (11, 262465, 666493)
    assert (1 / counts.double()).sum().item() == pytest.approx(0.7763038, abs=1e-7)
    p = initial_probabilities(counts)
    assert p.max().item() == pytest.approx(0.1171, abs=5e-5)
    assert p.min().item() == pytest.approx(4.9e-6, rel=0.01)
    assert initial_probabilities(counts, 8.53).max() < 1
    assert initial_probabilities(counts, 8.54).max() == 1


def test_cifar_probabilities(cifar_counts):
    assert int(cifar_counts.sum()) == 10847
    p = initial_probabilities(cifar_counts)
    assert p.max().item() == pytest.approx(0.044, abs=5e-4)
    assert 1 - (1 - p.double()).prod().item() == pytest.approx(0.64, abs=0.01)  # 36 % of the steps draw nothing
    ups = 0
    while p.max() < 1:
        p, ups = adapt(p, torch.ones(100).bool(), torch.zeros(100).bool()), ups + 1
    assert ups == 33


def test_classes_are_drawn_as_often_as_their_probability_says():
    fasa = FASA([1, 1, 2], 1, draws_per_step=1.0, generator=torch.Generator().manual_seed(0))  # p = 0.4, 0.4, 0.2
    fasa.observe(torch.ones(3, 1), torch.arange(3))
    drawn = torch.zeros(3)
    for _ in range(4000):
        drawn[fasa.sample()[1]] += 1
    torch.testing.assert_close(drawn / 4000, torch.tensor([0.4, 0.4, 0.2]), atol=0.025, rtol=0)


def test_a_probability_of_one_always_draws_and_of_zero_never():
    fasa = FASA([1, 1], 1)
    fasa.observe(torch.ones(2, 1), torch.arange(2))
    fasa.probabilities.copy_(torch.tensor([0.0, 1.0]))
    assert all(fasa.sample()[1].tolist() == [1] for _ in range(200))


def test_up_down_and_unchanged_and_the_limits():
    p = adapt(
        torch.tensor([0.5, 0.5, 0.5, 0.95, 0.0]),
        improved=torch.tensor([True, False, False, True, False]),
        worsened=torch.tensor([False, True, False, False, True]),
    )
    torch.testing.assert_close(p, torch.tensor([0.55, 0.45, 0.5, 1.0, 0.0]))


@settings(deadline=None)
@given(
    start=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    steps=st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=3, max_size=3), max_size=60),
)
def test_probabilities_stay_probabilities(start, steps):
    p = torch.tensor(start)
    for step in steps:
        before, sign = p, torch.tensor(step)
        p = adapt(p, sign > 0, sign < 0)
        assert (p >= 0).all() and (p <= 1).all()
        assert torch.equal(p[sign == 0], before[sign == 0])
        assert (p[sign > 0] >= before[sign > 0]).all() and (p[sign < 0] <= before[sign < 0]).all()


def test_a_groups_change_is_the_mean_over_its_classes_with_data():
    change = group_change(
        current=torch.tensor([1.0, 4.0, NAN, 5.0, 1.0]),
        previous=torch.tensor([2.0, 2.0, 1.0, 6.0, NAN]),
        groups=torch.tensor([0, 0, 0, 1, 1]),
    )
    assert change.tolist() == [0.5, 0.5, 0.5, -1, -1]  # ((1-2) + (4-2)) / 2, and class 3 alone


def test_a_groups_summed_change_is_not_its_mean():
    now, before = torch.tensor([1.0, 4.0, 0.0]), torch.tensor([2.0, 2.0, 0.0])
    assert group_change(now, before, torch.tensor([0, 0, 0]), "sum").tolist() == [1, 1, 1]


@pytest.mark.parametrize("reduction", ["pooled", "class_mean", "share_sum"])
def test_hits_that_tie_change_nothing(reduction: str) -> None:
    """As many hits as before, of other classes: sums that differ by their rounding alone are equal."""
    hits, size = torch.tensor([13.0, 4.0, 22.0, 9.0, 31.0, 1.0, 17.0]), torch.full((7,), 41.0)
    groups, generator = torch.zeros(7, dtype=torch.int64), torch.Generator().manual_seed(0)
    for _ in range(100):
        now, before = (hits[torch.randperm(7, generator=generator)] for _ in range(2))
        if reduction == "pooled":
            change = pooled_change(now / size, size, before / size, size, groups)
        else:
            samples, how = (size, "mean") if reduction == "class_mean" else (size.sum(), "sum")
            change = group_change(now / samples, before / samples, groups, how)
        assert change.tolist() == [0.0] * 7
    assert (group_change((now + 1) / 41, before / 41, groups, "mean") > 0).all()  # a hit more in each


def test_a_groups_pooled_change_is_over_all_samples_of_its_classes_with_data():
    change = pooled_change(
        current=torch.tensor([1.0, 4.0, NAN, 5.0, 1.0, 7.0, NAN]),
        count=torch.tensor([30.0, 10.0, 0.0, 2.0, 9.0, 1.0, 0.0]),
        previous=torch.tensor([2.0, 3.0, 1.0, 6.0, NAN, 1.0, 3.0]),
        previous_count=torch.tensor([10.0, 10.0, 50.0, 4.0, 0.0, 1.0, 1.0]),
        groups=torch.tensor([0, 0, 0, 1, 1, -1, 2]),
    )
    # (30 + 40) / 40 - (20 + 30) / 20, class 2 left out of both; class 3 alone; no group; no data
    torch.testing.assert_close(
        change, torch.tensor([-0.75, -0.75, -0.75, -1, -1, NAN, NAN]), equal_nan=True, rtol=1e-6, atol=0
    )


@settings(deadline=None)
@given(st.data())
def test_pooled_is_the_mean_over_classes_where_all_have_as_many_samples(data):
    def per_class(values):
        return torch.tensor(data.draw(st.lists(values, min_size=6, max_size=6)))

    current, previous = (per_class(st.floats(0, 100, width=32) | st.just(NAN)) for _ in range(2))
    groups = per_class(st.integers(-1, 5))
    count = torch.full((6,), data.draw(st.integers(1, 1000)))
    previous_count = torch.full((6,), data.draw(st.integers(1, 1000)))
    pooled = pooled_change(current, count, previous, previous_count, groups)
    torch.testing.assert_close(pooled, group_change(current, previous, groups), equal_nan=True, rtol=1e-4, atol=1e-4)


def test_no_data_and_no_group_say_nothing():
    change = group_change(torch.tensor([NAN, 2.0, 2.0]), torch.ones(3), torch.tensor([1, -1, 0]))
    assert change.isnan().tolist() == [True, True, False]
    assert change[2] == 1  # group 0, which the class without a group is no part of
    assert group_change(torch.tensor([5.0, 2.0]), torch.ones(2), torch.tensor([-1, 0]))[1] == 1


def adapted(*epochs: list[float], counts: list[int] | None = None, grouping: str = "class", **options) -> FASA:
    """Classes seen once, ``p = 0.5``, after epochs of these per-class mean validation values."""
    classes = len(epochs[0])
    count = torch.tensor(counts or [10] * classes)
    fasa = FASA([1] * classes, 2, grouping=grouping, **options)
    fasa.observe(torch.randn(classes, 2), torch.arange(classes))
    fasa.probabilities.fill_(0.5)
    for values in epochs:
        fasa.adapt(torch.tensor(values) * count, count)
    return fasa


def test_the_first_epoch_only_sets_the_mark():
    assert adapted([1.0, 2.0, 3.0]).probabilities.tolist() == [0.5] * 3


def test_falling_rising_and_equal_loss():
    p = adapted([1.0, 1.0, 1.0], [0.9, 1.1, 1.0]).probabilities
    torch.testing.assert_close(p, torch.tensor([0.55, 0.45, 0.5]))
    assert p[2] == 0.5


def test_a_metric_is_better_when_it_rises():
    p = adapted([0.5, 0.5, 0.5], [0.4, 0.6, 0.5], adapt_on="metric").probabilities
    torch.testing.assert_close(p, torch.tensor([0.45, 0.55, 0.5]))


def test_static_sampling_needs_no_validation_and_never_changes():
    fasa = FASA([1, 2], 1, adaptive=False)
    before = fasa.probabilities.clone()
    fasa.adapt()
    assert fasa.epoch == 1
    assert torch.equal(fasa.probabilities, before)


def in_groups(groups: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fasa.method.fasa.group_classes", lambda *_: torch.tensor(groups))


def test_a_class_without_validation_data_follows_its_group(monkeypatch):
    in_groups([0, 0, 1, 1], monkeypatch)
    fasa = adapted([1.0, 1.0, 1.0, 1.0], [0.8, 9.0, 1.2, 0.0], counts=[10, 0, 10, 0])
    torch.testing.assert_close(fasa.probabilities, torch.tensor([0.55, 0.55, 0.45, 0.45]))


def test_a_group_without_validation_data_and_a_class_without_a_group_stay(monkeypatch):
    in_groups([0, 1, 1, -1], monkeypatch)
    fasa = adapted([1.0, 1.0, 1.0, 1.0], [0.8, 0.8, 0.8, 0.8], counts=[10, 0, 0, 10])
    torch.testing.assert_close(fasa.probabilities, torch.tensor([0.55, 0.5, 0.5, 0.5]))


def test_readings_weigh_the_classes_of_a_group_differently(monkeypatch):
    # Class 0, 90 samples, gets a little better; class 1, 10 samples, much worse.
    in_groups([0, 0], monkeypatch)
    epochs = ([1.0, 1.0], [0.9, 1.5])
    paper = adapted(*epochs, counts=[90, 10])
    by_class = adapted(*epochs, counts=[90, 10], reduction="class_mean")
    released = adapted(*epochs, counts=[90, 10], reduction="share_sum")
    torch.testing.assert_close(paper.probabilities, torch.tensor([0.55, 0.55]))  # 0.96 - 1 < 0
    torch.testing.assert_close(by_class.probabilities, torch.tensor([0.45, 0.45]))  # (-0.1 + 0.5) / 2 > 0
    torch.testing.assert_close(released.probabilities, torch.tensor([0.55, 0.55]))  # (-9 + 5) / 100 < 0


def test_a_pooled_group_weighs_its_classes_by_their_samples_of_each_epoch(monkeypatch):
    in_groups([0, 0, 1], monkeypatch)
    fasa = FASA([1, 1, 1], 2)
    fasa.probabilities.fill_(0.5)
    for sums, counts in (
        ([90.0, 10.0, 4.0, 3.0], [90, 10, 4, 70]),  # the last entry, a background, is of no class
        ([81.0, 15.0, 0.0, 9.0], [90, 10, 0, 30]),  # 1 -> 0.96, though the mean of classes rises
        ([24.0, 126.0, 1.0, 9.0], [30, 90, 8, 30]),  # 0.96 -> 1.25, though each class gets better; 2 had no data before
        ([27.0, 30.0, 4.0, 9.0], [30, 30, 8, 30]),  # 1.25 -> 0.95; class 2: 0.125 -> 0.5
    ):
        fasa.adapt(torch.tensor(sums), torch.tensor(counts))
    first = 0.5 * 1.1 * 0.9 * 1.1
    torch.testing.assert_close(fasa.probabilities, torch.tensor([first, first, 0.45]))
    torch.testing.assert_close(fasa.previous_count, torch.tensor([30.0, 30, 8]))


def test_a_pooled_group_lends_its_change_to_a_class_without_data(monkeypatch):
    in_groups([0, 0, 1, 1], monkeypatch)
    fasa = adapted([1.0, 1.0, 1.0, 1.0], [0.8, 9.0, 1.2, 0.0], counts=[10, 0, 10, 0], reduction="pooled")
    torch.testing.assert_close(fasa.probabilities, torch.tensor([0.55, 0.55, 0.45, 0.45]))


def signs(reduction: str, epochs, weights) -> list[list[int]]:
    """Which way each class goes after each epoch of sums and counts, all of a class weighted by ``weights``."""
    fasa = FASA([1] * len(weights), 2, reduction=reduction)
    ways = []
    for sums, counts in epochs:
        fasa.probabilities.fill_(0.5)
        fasa.adapt(sums * weights, counts * weights)
        ways.append((fasa.probabilities - 0.5).sign().int().tolist())
    return ways


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 30)), min_size=4, max_size=4), max_size=5),
    st.lists(st.integers(1, 16), min_size=4, max_size=4),
)
def test_weighting_validation_samples_never_changes_a_sign_of_class_means(monkeypatch, epochs, weights):
    """Whole numbers below 2^24, whose quotients floats round alike: so the means are equal to the last bit."""
    in_groups([0, 0, 0, 1], monkeypatch)
    values = [tuple(torch.tensor(epoch).float().T) for epoch in epochs]
    weighted, plain = (signs("class_mean", values, torch.tensor(w)) for w in (weights, [1] * 4))
    assert weighted == plain


def test_weighting_validation_samples_changes_signs_of_pooled_means(monkeypatch):
    """Repeat factors: class 0, frequent, gets better, class 1, rare, worse; shown ten times, the rare class decides."""
    in_groups([0, 0], monkeypatch)
    values = [(torch.tensor(sums), torch.tensor([90.0, 10.0])) for sums in ([90.0, 10.0], [81.0, 15.0])]
    assert signs("pooled", values, torch.tensor([1, 1]))[1] == [1, 1]
    assert signs("pooled", values, torch.tensor([1, 10]))[1] == [-1, -1]


def test_with_as_many_samples_of_every_class_pooled_means_are_class_means(monkeypatch):
    """So it is of classifiers, whose held-out images are as many of each class, or none."""
    in_groups([0, 0, 0, 1, 1], monkeypatch)
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([20.0, 20, 0, 20, 20])
    values = [(torch.rand(5, generator=generator) * counts, counts) for _ in range(200)]
    pooled, by_class = (signs(reduction, values, torch.ones(5)) for reduction in ("pooled", "class_mean"))
    assert pooled == by_class
    assert {-1, 1} <= {sign for epoch in pooled for sign in epoch}


def test_the_released_share_counts_the_background_and_the_number_of_samples():
    # The same mean loss of class 0, but the background's samples double: its share falls.
    fasa = FASA([1, 1], 2, grouping="class", reduction="share_sum")
    fasa.observe(torch.randn(2, 2), torch.arange(2))
    fasa.probabilities.fill_(0.5)
    fasa.adapt(torch.tensor([10.0, 10.0, 5.0]), torch.tensor([10, 10, 80]))
    torch.testing.assert_close(fasa.previous, torch.tensor([0.1, 0.1]))
    fasa.adapt(torch.tensor([10.0, 30.0, 5.0]), torch.tensor([10, 30, 160]))
    torch.testing.assert_close(fasa.previous, torch.tensor([0.05, 0.15]))
    torch.testing.assert_close(fasa.probabilities, torch.tensor([0.55, 0.45]))


def test_adapting_leaves_the_callers_tensors_alone():
    sums, counts = torch.ones(2), torch.ones(2)
    fasa = FASA([1, 1], 2, grouping="class")
    fasa.adapt(sums, counts)
    fasa.adapt(sums, counts)
    assert sums.tolist() == counts.tolist() == [1, 1]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.lists(st.floats(0, 1e4) | st.just(NAN), min_size=4, max_size=4),
        max_size=12,
    )
)
def test_the_module_keeps_probabilities_under_any_losses(epochs):
    fasa = FASA([1, 2, 3, 4], 2, draws_per_step=3, grouping="class")
    fasa.observe(torch.randn(3, 2), torch.arange(3))
    last = fasa.probabilities[3].clone()
    for values in epochs:
        values = torch.tensor(values)
        fasa.adapt(values.nan_to_num(), (~values.isnan()).long())
        assert (fasa.probabilities >= 0).all() and (fasa.probabilities <= 1).all()
    assert fasa.probabilities[3] == last  # never seen, in no group
