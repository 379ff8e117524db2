"""Processes that form a group, and what those of test_processes.py do: each imports this module, so it loads fast."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
import torch.utils.data

from fasa.errors import UserError


@contextmanager
def gloo_group(folder: Path, rank: int = 0, ranks: int = 1) -> Iterator[None]:
    """A process group of this process and others, which meet in ``folder``."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # A file as the meeting place: a free port may be taken between finding and using it.
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks, timeout=timedelta(seconds=60))
    try:
        yield
    finally:
        dist.destroy_process_group()


def by_ranks(work: Callable[[int, Path], Any], folder: Path, ranks: int = 2) -> list[Any]:
    """What ``work(rank, folder)`` gives in each of a group of ``ranks`` new processes."""
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    torch.multiprocessing.spawn(_one_rank, args=(work, folder, ranks), nprocs=ranks)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(ranks)]


def _one_rank(rank: int, work: Callable[[int, Path], Any], folder: Path, ranks: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks))
    with gloo_group(folder, rank, ranks):
        torch.save(work(rank, folder), folder / f"rank{rank}.pt")


def add_up(folder: str) -> None:
    """Write the sum over ranks of rank + 1. Ctrl-C reaches every process of a terminal, and is the parent's affair."""
    os.kill(os.getpid(), signal.SIGINT)
    total = torch.tensor([dist.get_rank() + 1])
    dist.all_reduce(total)
    (Path(folder) / f"{dist.get_rank()}.txt").write_text(str(total.item()))


def hang_at_leaving(folder: str) -> None:
    """Do the work, and then never leave the group."""
    dist.destroy_process_group = partial(time.sleep, 600)
    (Path(folder) / f"{os.getpid()}.pid").touch()


def fail(kind: str) -> None:
    """Rank 1 fails, and rank 0 waits for it."""
    if dist.get_rank() == 1:
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "left":
            raise SystemExit(0)
        raise UserError("the rate: is too high.") if kind == "user" else ZeroDivisionError("oh")
    dist.all_reduce(torch.zeros(1))


def sleep(folder: str) -> None:
    """Leave the process's number and wait to be ended."""
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(600)


class Numbers(torch.utils.data.Dataset):
    """Four numbers, of which a data worker cannot give the third: a signal ends it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if index == 2:
            os.kill(os.getpid(), self.number)
        return index


def begin_slowly(folder: str) -> None:
    """Start a data worker that is still beginning when this process is killed."""
    from fasa.mmdet.seeding import seed_worker

    begin = partial(_begin, Path(folder), seed_worker)
    list(torch.utils.data.DataLoader(range(4), num_workers=1, worker_init_fn=begin))


def _begin(folder: Path, seed_worker: Callable[[int], None], worker: int) -> None:
    (folder / f"{os.getpid()}.pid").touch()
    time.sleep(1)
    seed_worker(worker)
