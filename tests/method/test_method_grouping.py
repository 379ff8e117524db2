"""Eq 5: Fisher's ratio by hand, and what each clustering makes of planted groups."""

from __future__ import annotations

import warnings

import pytest
import torch
from sklearn.metrics import adjusted_rand_score, homogeneity_score

from fasa import FASA
from fasa.method import grouping
from fasa.method.grouping import affinity, fisher_distance, group_classes, mean_shift, relative_bandwidth


def planted(classes: int, clusters: int, dim: int = 128, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """Means and variances of classes in well separated clusters, and the cluster of each."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.arange(classes) % clusters
    mean = torch.randn(clusters, dim, generator=generator)[truth] + 0.1 * torch.randn(classes, dim, generator=generator)
    return mean, 0.25 + 0.5 * torch.rand(classes, dim, generator=generator), truth.tolist()


def test_fishers_ratio_by_hand():
    distance = fisher_distance(
        torch.tensor([[0.0, 0.0]]),
        torch.tensor([[1.0, 2.0]]),
        torch.tensor([[2.0, 3.0], [0.0, 0.0]]),
        torch.tensor([[1.0, 1.0], [5.0, 5.0]]),
    )
    torch.testing.assert_close(distance, torch.tensor([[(4 / 2 + 9 / 3) / 2, 0.0]]))


def test_fishers_ratio_of_single_samples_is_finite():
    mean = torch.tensor([[0.0], [1.0], [0.0]])
    distance = fisher_distance(mean, torch.zeros(3, 1), mean, torch.zeros(3, 1))
    assert distance.isfinite().all()
    assert distance[0, 2] == 0
    assert distance[0, 1] == pytest.approx(1e6, rel=1e-3)


@pytest.mark.parametrize("tile", [1, 7 * 9, 1 << 18])
def test_tiles_and_the_mirrored_half_change_nothing(tile, monkeypatch):
    monkeypatch.setattr(grouping, "TILE_OF_CPU", tile)
    mean, variance = torch.randn(23, 7), torch.rand(23, 7)
    plain = ((mean[:, None] - mean).square() / (variance[:, None] + variance + grouping.VARIANCE_FLOOR)).mean(-1)
    torch.testing.assert_close(fisher_distance(mean, variance, mean, variance), plain)
    torch.testing.assert_close(fisher_distance(mean[:5], variance[:5], mean, variance), plain[:5])


def test_the_bandwidth_is_the_median_distance_to_the_nth_neighbour():
    points = torch.tensor([0.0, 1.0, 3.0, 7.0, 15.0])
    distances = (points[:, None] - points).abs()
    assert relative_bandwidth(distances, 2) == 2  # nearest others: 1, 1, 2, 4, 8
    assert relative_bandwidth(distances, 5) == 2  # five classes: at most 1 + 5 // 5 neighbours, itself counted


def test_groups_do_not_depend_on_the_unit_of_the_features():
    mean, variance, _ = planted(60, 12)
    expected = mean_shift(mean, variance)
    assert torch.equal(mean_shift(16 * mean, 256 * variance), expected)
    assert torch.equal(
        mean_shift(mean.repeat(1, 2), variance.repeat(1, 2)), expected
    )  # the sum over d is twice as large


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("classes", "clusters"), [(100, 20), (60, 10), (12, 4)])
def test_mean_shift_recovers_planted_clusters(classes, clusters, seed):
    mean, variance, truth = planted(classes, clusters, seed=seed)
    groups = mean_shift(mean, variance)
    assert adjusted_rand_score(truth, groups) > 0.8  # a straggler may stay alone
    assert homogeneity_score(truth, groups) == pytest.approx(1)


def test_mean_shift_may_split_clusters_far_larger_than_its_neighbourhood_but_never_mixes_them():
    mean, variance, truth = planted(200, 8, dim=512)
    assert homogeneity_score(truth, mean_shift(mean, variance, neighbours=5)) == pytest.approx(1)
    assert adjusted_rand_score(truth, mean_shift(mean, variance, neighbours=24)) > 0.99


def test_classes_without_structure_are_not_merged_into_one_group():
    # In many dimensions all of them are about equally far apart, only just beyond the bandwidth.
    generator = torch.Generator().manual_seed(0)
    mean, variance = torch.randn(200, 512, generator=generator), torch.ones(200, 512)
    assert len(mean_shift(mean, variance).unique()) > 10


def test_mean_shift_sees_the_variances():
    # Equal means differ by their spread: 6 apart is far for tight classes and near for wide ones.
    mean = torch.tensor([0.0, 6.0, 0.125, 6.125, 100.0, 106.0])[:, None]
    variance = torch.tensor([0.01, 0.01, 0.01, 0.01, 400.0, 400.0])[:, None]
    groups = mean_shift(mean, variance).tolist()
    assert groups[0] == groups[2] != groups[1] == groups[3]
    assert groups[4] == groups[5]


def test_a_wide_bandwidth_merges_all_classes():
    # Why scikit-learn's default, the 30 % quantile of all pairs, is not used.
    mean, variance, _ = planted(100, 20)
    assert len(mean_shift(mean, variance, neighbours=5).unique()) == 20
    assert len(mean_shift(mean, variance, neighbours=30).unique()) <= 2  # of at most 21 neighbours


@pytest.mark.parametrize("classes", [0, 1])
def test_too_few_classes_to_cluster(classes):
    mean, variance = torch.ones(classes, 3), torch.ones(classes, 3)
    assert mean_shift(mean, variance).tolist() == affinity(mean, inverted=False).tolist() == [0] * classes


def test_identical_classes_are_one_group_and_two_classes_do_not_fail():
    assert mean_shift(torch.ones(9, 3), torch.zeros(9, 3)).tolist() == [0] * 9
    assert len(mean_shift(torch.tensor([[0.0], [9.0]]), torch.ones(2, 1))) == 2


@pytest.mark.parametrize("method", ["mean_shift", "affinity", "class"])
def test_classes_never_seen_are_left_out(method):
    mean, variance, truth = planted(30, 6)
    observations = torch.ones(30, dtype=torch.long)
    observations[[2, 11]] = 0
    groups = group_classes(mean, variance, observations, method, 5)
    seen = observations > 0
    assert ((groups == -1) == ~seen).all()
    mean[~seen] = 1e6  # whatever they hold
    assert torch.equal(group_classes(mean, variance, observations, method, 5), groups)
    if method == "class":
        assert len(groups[seen].unique()) == 28
    else:
        assert adjusted_rand_score([t for t, s in zip(truth, seen, strict=True) if s], groups[seen]) > 0.9


@pytest.mark.parametrize("method", ["mean_shift", "affinity", "class"])
def test_no_class_seen_yet_makes_no_groups(method):
    zero = torch.zeros(4, 2)
    assert group_classes(zero, zero, torch.zeros(4, dtype=torch.long), method, 5).tolist() == [-1] * 4


def test_class_wise_groups_are_the_classes():
    zero = torch.zeros(4, 2)
    assert group_classes(zero, zero, torch.tensor([1, 0, 3, 1]), "class", 5).tolist() == [0, -1, 2, 3]


def test_the_releases_inverted_sign_groups_what_is_far_apart():
    mean, variance, truth = planted(100, 20, dim=64)
    observations = torch.ones(100, dtype=torch.long)
    corrected = group_classes(mean, variance, observations, "affinity", 5)
    released = group_classes(mean, variance, observations, "affinity_released", 5)
    assert adjusted_rand_score(truth, corrected) > 0.95
    assert adjusted_rand_score(truth, released) < 0.5


def test_the_release_clusters_classes_never_seen():
    mean, variance, _ = planted(30, 6)
    observations = torch.ones(30, dtype=torch.long)
    observations[0] = 0
    assert torch.equal(
        group_classes(mean, variance, observations, "affinity_released", 5), affinity(mean, inverted=True)
    )


def test_affinity_propagation_that_does_not_converge_makes_no_groups(monkeypatch):
    from sklearn.cluster import AffinityPropagation

    monkeypatch.setattr(
        "sklearn.cluster.AffinityPropagation",
        lambda **options: AffinityPropagation(**options, max_iter=1),
    )
    assert all(affinity(torch.randn(20, 4), inverted=True).tolist() == [-1] * 20 for _ in range(5))


def adapted(fasa: FASA) -> None:
    fasa.adapt(torch.ones(len(fasa.mean)), torch.ones(len(fasa.mean)))


def with_classes(mean: torch.Tensor, variance: torch.Tensor, **options) -> FASA:
    fasa = FASA([1] * len(mean), mean.shape[1], **options)
    fasa.mean.copy_(mean)
    fasa.variance.copy_(variance)
    fasa.observations.fill_(1)
    return fasa


def test_planted_groups_raise_no_warning():
    mean, variance, truth = planted(100, 20)
    fasa = with_classes(mean, variance)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapted(fasa)
    assert adjusted_rand_score(truth, fasa.groups) == pytest.approx(1)


@pytest.mark.parametrize(
    ("mean", "found"),
    [(torch.zeros(20, 4), 1), (torch.logspace(0, 12, 20)[:, None].repeat(1, 4), 20)],
)
def test_a_bandwidth_that_groups_all_or_nothing_is_told_to_the_caller(mean, found, monkeypatch):
    fasa = with_classes(mean, torch.ones_like(mean))
    if found == 20:
        monkeypatch.setattr("fasa.method.fasa.group_classes", lambda *_: torch.arange(20))
    with pytest.warns(UserWarning, match=f"made {found} groups of 20 classes, the largest of .*neighbours=5") as told:
        adapted(fasa)
    assert told[0].filename == __file__


@pytest.mark.parametrize("options", [{"grouping": "class"}, {"adaptive": False}])
def test_other_groupings_and_static_sampling_warn_of_nothing(options):
    fasa = with_classes(torch.zeros(20, 4), torch.ones(20, 4), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapted(fasa)


def test_fewer_than_twenty_classes_may_well_be_one_group():
    fasa = with_classes(torch.zeros(19, 4), torch.ones(19, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapted(fasa)
