"""Orders against Python's own stable sort, and ranges for threads."""

from __future__ import annotations

import numpy as np
import pytest

from fasa.evaluation.arrays import by_score, group, in_parallel, top


@pytest.mark.parametrize("groups", [1, 7, 70_000, 5_000_000])
def test_orders_are_pythons(groups):
    rng = np.random.default_rng(groups)
    score, key = rng.integers(0, 9, 4000) / 8, rng.integers(0, groups, 4000)
    order = by_score(score)
    assert order.tolist() == sorted(range(4000), key=lambda i: -score[i])
    grouped, start = group(order, key, groups)
    assert grouped.tolist() == sorted(order.tolist(), key=lambda i: key[i])
    assert start[0] == 0 and start[-1] == 4000
    for k in np.unique(key)[:50]:
        assert (key[grouped[start[k] : start[k + 1]]] == k).all()


@pytest.mark.parametrize("limit", [0, 1, 3, 1000])
def test_the_first_of_every_group_stay(limit):
    rng = np.random.default_rng(limit)
    score, key = rng.integers(0, 5, 300) / 4, rng.integers(0, 20, 300)
    kept = top(lambda: by_score(score), key, 20, limit)
    for k in range(20):
        rows = sorted(np.flatnonzero(key == k).tolist(), key=lambda i: -score[i])
        assert kept[rows].tolist() == [place < limit for place in range(len(rows))]


def test_nothing_to_order():
    assert len(by_score(np.zeros(0))) == 0
    grouped, start = group(np.zeros(0, np.int64), np.zeros(0, np.int64), 3)
    assert len(grouped) == 0 and start.tolist() == [0, 0, 0, 0]


def test_ranges_cover_everything_once_and_in_order():
    for items in (0, 1, 10, 1000, 1001):
        ranges = in_parallel(lambda lo, hi: (lo, hi), items, smallest=10)
        assert [i for lo, hi in ranges for i in range(lo, hi)] == list(range(items))
