"""Random numbers as a function of seed, epoch and rank."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from fasa.mmdet import seeding


def drawn(seed: int = 0, epoch: int = 0) -> tuple[float, float, float]:
    seeding.EpochSeedHook().before_train_epoch(SimpleNamespace(seed=seed, epoch=epoch))
    return random.random(), float(np.random.rand()), float(torch.rand(()))


class Noise(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[float, float]:
        return float(np.random.rand()), random.random()


def epoch_of(loader: DataLoader, epoch: int) -> list:
    drawn(epoch=epoch)
    return [batch for pair in loader for batch in pair.tolist()]


def test_an_epoch_is_a_function_of_seed_epoch_and_rank(monkeypatch):
    first = drawn()
    assert drawn() == first
    others = [drawn(epoch=1), drawn(seed=1)]
    monkeypatch.setattr(seeding, "get_rank", lambda: 1)
    others.append(drawn())
    for other in others:
        assert all(a != b for a, b in zip(first, other, strict=True))


def test_workers_draw_anew_each_epoch_and_the_same_again():
    loader = DataLoader(
        Noise(), batch_size=2, num_workers=2, worker_init_fn=seeding.seed_worker, collate_fn=torch.tensor
    )
    first, second = epoch_of(loader, 0), epoch_of(loader, 1)
    values = [value for row in first + second for value in row]
    assert len(set(values)) == len(values)
    assert epoch_of(loader, 1) == second


def test_a_state_inside_leaves_that_outside():
    drawn()
    expected = random.random(), float(np.random.rand()), float(torch.rand(()))
    drawn()
    inside = []
    for _ in range(2):
        with seeding.random_state(5):
            inside.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert inside[0] == inside[1]
    assert (random.random(), float(np.random.rand()), float(torch.rand(()))) == expected
