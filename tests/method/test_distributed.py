"""Two processes with half a batch each against one with the whole of it, over gloo."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from process_toys import by_ranks

from fasa import FASA

CLASSES, DIM, BATCH, RANKS = 24, 16, 32, 2
SETTINGS = {
    "literal": {"variance_estimator": "literal"},
    "std": {"variance_estimator": "std"},
    "ewm": {"variance_estimator": "ewm"},
    "share_sum": {"reduction": "share_sum"},
    "class_mean": {"reduction": "class_mean"},
    "local": {"global_statistics": False},
}


def trained(rank: int, ranks: int, **options) -> dict[str, torch.Tensor]:
    """The state after three epochs of training and validation on this rank's share of the same data."""
    generator = torch.Generator().manual_seed(0)
    fasa = FASA(torch.arange(1, CLASSES + 1), DIM, draws_per_step=5, **options)
    centres = 4 * torch.randn(4, DIM, generator=generator)

    def share(tensor: torch.Tensor) -> torch.Tensor:  # of uneven size
        cut = [0, 3 * len(tensor) // 8, len(tensor)]
        return tensor[cut[rank] : cut[rank + 1]] if ranks > 1 else tensor

    for epoch in range(3):
        for step in range(4):
            labels = torch.randint(-1, CLASSES - 2, (BATCH,), generator=generator)  # two classes are never seen
            if epoch == step == 1:
                labels[: BATCH // 2] = CLASSES  # nothing but background on the first rank
            features = centres[labels % 4] + torch.randn(BATCH, DIM, generator=generator)
            fasa.observe(share(features), share(labels))
        losses, labels = torch.rand(64, generator=generator), torch.randint(0, CLASSES - 4, (64,), generator=generator)
        zeros = torch.zeros(CLASSES + 1)
        losses, labels = share(losses), share(labels)
        sums, counts = zeros.index_add(0, labels, losses), zeros.index_add(0, labels, torch.ones_like(losses))
        fasa.adapt(sums, counts)
        torch.testing.assert_close((sums.sum(), counts.sum()), (losses.sum(), torch.tensor(float(len(labels)))))
    return fasa.state_dict()


def of_rank(rank: int, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {name: trained(rank, RANKS, **options) for name, options in SETTINGS.items()}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor]]]:
    """What each rank ends with under each setting."""
    return by_ranks(of_rank, tmp_path_factory.mktemp("ranks"), RANKS)


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name != "local"])
def test_two_halves_are_one_whole(setting, ranks):
    whole = trained(0, 1, **SETTINGS[setting])
    assert (whole["groups"] >= 0).sum() == CLASSES - 2
    assert len(whole["probabilities"].unique()) > 3
    for rank in ranks:
        for name, value in whole.items():
            torch.testing.assert_close(rank[setting][name], value, rtol=1e-4, atol=1e-5, equal_nan=True)
        for name in ("observations", "groups", "epoch"):
            assert torch.equal(rank[setting][name], whole[name])


def test_ranks_agree_to_the_last_bit(ranks):
    for setting in SETTINGS:
        if setting != "local":
            for name, value in ranks[0][setting].items():
                torch.testing.assert_close(ranks[1][setting][name], value, rtol=0, atol=0, equal_nan=True)


def test_local_statistics_differ_but_probabilities_and_groups_do_not(ranks):
    first, second = ranks[0]["local"], ranks[1]["local"]
    for name in ("mean", "variance", "observations"):
        assert not torch.equal(first[name], second[name])
    for name in ("probabilities", "groups", "previous", "epoch"):
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, equal_nan=True)
