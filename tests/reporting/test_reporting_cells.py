"""The statistics against numbers worked out by hand."""

import math

import pytest

from fasa.reporting import cells


def test_summary_is_mean_and_sample_deviation():
    summary = cells.summarise({2: 3.0, 0: 1.0, 1: 2.0})
    assert summary.seeds == (0, 1, 2)
    assert summary.values == (1.0, 2.0, 3.0)
    assert summary.n == 3
    assert summary.mean == 2.0
    assert summary.std == 1.0  # sqrt((1 + 0 + 1) / 2)


def test_summary_of_one_seed_has_no_spread_and_of_none_no_mean():
    one = cells.summarise({7: 4.0})
    assert (one.n, one.mean, one.std) == (1, 4.0, None)
    none = cells.summarise({})
    assert (none.n, none.mean, none.std) == (0, None, None)


def test_paired_difference_by_hand():
    # differences 1, 2, 3 over the common seeds: mean 2, std 1, t(0.975, 2) = 4.30265, half width 4.30265 / sqrt(3)
    difference = cells.paired_difference({0: 11.0, 1: 22.0, 2: 33.0, 5: 99.0}, {0: 10.0, 1: 20.0, 2: 30.0, 4: 0.0})
    assert difference.seeds == (0, 1, 2)
    assert difference.mean == pytest.approx(2.0)
    half_width = 4.302652729911275 / math.sqrt(3)
    assert difference.low == pytest.approx(2 - half_width)
    assert difference.high == pytest.approx(2 + half_width)


def test_two_pairs_by_hand():
    # differences 1, 2: mean 1.5, std 1/sqrt(2), t(0.975, 1) = 12.7062
    difference = cells.paired_difference({0: 1.0, 1: 2.0}, {0: 0.0, 1: 0.0})
    assert difference.high - difference.mean == pytest.approx(12.706204736432095 / 2)


def test_pairing_removes_what_the_seeds_share():
    # Both rows vary by tens between the seeds; their difference hardly does.
    ours, baseline = {0: 10.5, 1: 40.6, 2: 70.7}, {0: 10.0, 1: 40.0, 2: 70.0}
    difference = cells.paired_difference(ours, baseline)
    assert 0 < difference.low < difference.mean == pytest.approx(0.6)


def test_no_common_seed_gives_no_difference_and_one_gives_no_interval():
    assert cells.paired_difference({0: 1.0}, {1: 1.0}) is None
    one = cells.paired_difference({0: 1.5}, {0: 1.0})
    assert (one.n, one.mean, one.low, one.high) == (1, 0.5, None, None)


def test_equal_differences_give_an_interval_of_no_width_despite_floating_point():
    difference = cells.paired_difference({0: 0.3, 1: 1.2, 2: 2.3}, {0: 0.1, 1: 1.0, 2: 2.1})
    assert difference.low == difference.mean == difference.high == pytest.approx(0.2)


def verdict(published, ours, baseline):
    return cells.difference_verdict(
        published,
        cells.summarise(ours),
        cells.summarise(baseline),
        cells.paired_difference(ours, baseline),
    )


ZEROS = {0: 0.0, 1: 0.0, 2: 0.0}


@pytest.mark.parametrize(
    ("published", "ours", "expected"),
    [
        (1.7, {0: 1.0, 1: 1.1, 2: 1.2}, "confirmed"),
        (-1.7, {0: -1.0, 1: -1.1, 2: -1.2}, "confirmed"),
        (1.7, {0: -1.0, 1: -1.1, 2: -1.2}, "contradicted"),
        (-1.7, {0: 1.0, 1: 1.1, 2: 1.2}, "contradicted"),
        (1.7, {0: 1.0, 1: 2.0, 2: 3.0}, "undecided"),  # 2 ± 2.48 holds 0
        (1.7, {0: 5.0}, "undecided"),
        (1.7, {0: 1.0, 1: 1.0}, "confirmed"),  # no width, and not 0
        (1.7, ZEROS, "undecided"),  # no width, and 0
        (1.7, {0: 1e-15, 1: 1e-15}, "undecided"),  # floating-point noise is no difference
        (1.7, {8: 5.0, 9: 6.0}, "undecided"),  # runs, but no pair
        (1.7, {}, "—"),
        (None, {0: 1.0, 1: 1.1, 2: 1.2}, "—"),
        (0.0, {0: 1.0, 1: 1.1, 2: 1.2}, "—"),  # a published tie has no sign to confirm
    ],
)
def test_verdict_of_a_difference(published, ours, expected):
    assert verdict(published, ours, ZEROS) == expected


def test_no_verdict_without_a_run_of_the_baseline():
    assert verdict(1.7, {0: 1.0, 1: 1.0}, {}) == "—"


@pytest.mark.parametrize(
    ("mean", "comparable", "expected"),
    [
        (42.5, True, "within 0.5"),
        (41.5, True, "within 0.5"),
        (42.54, True, "off by +0.54"),
        (38.0, True, "off by -4.00"),
        (42.0, False, "—"),
    ],
)
def test_verdict_of_a_level(mean, comparable, expected):
    assert cells.level_verdict(42.0, cells.summarise({0: mean}), 0.5, comparable) == expected


def test_no_level_verdict_without_both_numbers():
    assert cells.level_verdict(None, cells.summarise({0: 1.0}), 0.5, True) == "—"
    assert cells.level_verdict(42.0, cells.summarise({}), 0.5, True) == "—"


def test_published_difference_is_free_of_floating_point():
    assert cells.published_difference(43.7, 42.0) == 1.7
    assert cells.published_difference(None, 42.0) is None
    assert cells.published_difference(43.7, None) is None
