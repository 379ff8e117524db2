"""Random numbers that do not depend on the past: an epoch is a function of (seed, epoch, rank), a validation of a seed.

mmengine saves no random state, so without this a resumed training draws other RoIs, crops and virtual features than an
uninterrupted one.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner

from fasa.orphans import end_with


def mixed_seed(*parts: object) -> int:
    """A 32-bit seed from any parts, the same on every machine."""
    return zlib.crc32(repr(parts).encode())


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's (all devices') default generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Draw from ``seed`` inside; outside, every generator goes on as if nothing had been drawn."""
    python, numpy = random.getstate(), np.random.get_state()
    # The current device alone: to save all of a node's would start a context on each.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        seed_everything(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed each epoch's random numbers from the run's seed, the epoch and the rank."""

    def before_train_epoch(self, runner: Runner) -> None:
        seed_everything(mixed_seed(runner.seed, runner.epoch, get_rank()))


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seed a data worker from the epoch's random numbers: ``worker_init_fn=dict(type="seed_worker")``.

    It also ends with its training. Torch sees to that only once the worker waits for batches: one whose training was
    killed before would wait for ever, with all files that were open.

    mmengine's own gives a worker the same numbers in each epoch. Needs ``persistent_workers=False``: a worker that
    lives on goes on drawing, which no resumed training can repeat.
    """
    if (training := parent_process()) and training.pid:
        end_with(training.pid)
    seed = torch.initial_seed() % 2**32  # torch's: drawn in the main process for this epoch, plus the worker's number
    random.seed(seed)
    np.random.seed(seed)
