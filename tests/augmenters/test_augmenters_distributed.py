"""SMOTE's memory and Yin's statistics over two processes against one with the whole batch, over gloo."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from process_toys import by_ranks
from toys import batch_of, image_context

from fasa.augmenters.base import Augmenter
from fasa.augmenters.feature_augmenter import share_foreground
from fasa.augmenters.smote import Smote
from fasa.augmenters.yin import Yin

COUNTS, RANKS, BATCH, CUT = [40, 30, 20, 5], 2, 24, 9


def augmenters() -> dict[str, Augmenter]:
    torch.manual_seed(0)
    return {"smote": Smote(image_context(COUNTS), memory=4), "yin": Yin(image_context(COUNTS), code=3)}


def trained(rank: int, ranks: int) -> dict[str, dict[str, torch.Tensor]]:
    """The state after a few steps on this rank's share of the same data."""
    generator, made = torch.Generator().manual_seed(0), augmenters()
    for step in range(4):
        features = torch.rand(BATCH, 4, generator=generator)
        labels = torch.randint(0, 5, (BATCH,), generator=generator)  # 4: background
        if step == 2:
            labels[:CUT] = 4  # nothing but background on the first rank
        if ranks > 1:
            part = slice(0, CUT) if rank == 0 else slice(CUT, BATCH)
            features, labels = features[part], labels[part]
        for augmenter in made.values():
            augmenter.loss(batch_of(features, labels))
    for augmenter in made.values():
        augmenter.end_epoch(lambda: None)
    return {name: augmenter.state_dict() for name, augmenter in made.items()}


def of_rank(rank: int, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    content = trained(rank, RANKS)
    few = share_foreground(torch.full((6, 1), float(rank)), torch.tensor([4, 1, 4, 2, 3, 0]), 4, rows=3)
    return {**content, "few": dict(zip(("features", "labels"), few, strict=True))}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return by_ranks(of_rank, tmp_path_factory.mktemp("ranks"), RANKS)


@pytest.mark.parametrize("name", ["smote", "yin"])
def test_two_parts_are_one_whole(name, ranks):
    whole = trained(0, 1)[name]
    if name == "smote":  # the last row is where background is written to
        assert (whole["seen"] > 4).all()
        whole["queue"][-1] = ranks[0][name]["queue"][-1] = ranks[1][name]["queue"][-1] = 0
    else:
        assert whole["projection"].any()
    for rank in ranks:
        for key, value in whole.items():
            torch.testing.assert_close(rank[name][key], value, rtol=1e-4, atol=1e-5)


def test_a_process_gives_no_more_than_its_rows(ranks):
    assert ranks[0]["few"]["labels"].tolist() == ranks[1]["few"]["labels"].tolist() == [1, 2, 3, 1, 2, 3]
    assert ranks[1]["few"]["features"].flatten().tolist() == [0, 0, 0, 1, 1, 1]
