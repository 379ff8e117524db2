"""What FASA adds to a training step: steps of one recipe with and without it, in turn, in one process.

    python -m benchmarks.training_step [BASE FASA] [--scale mini] [--rounds 30] [--device cpu]

At scale paper it needs that scale's data (`fasa data ldam --scale paper`). Prints the median time of a step of each and
the median ratio of neighbouring pairs; the goal is at most 1.05 on a CPU.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import own_stream, timed
from fasa.errors import UserError
from fasa.study import Run, load_study
from fasa.tasks.classification.graphs import EAGER_STEPS
from fasa.tasks.classification.session import load_data
from fasa.tasks.classification.training import Training
from fasa.tasks.devices import choose_device
from fasa.tasks.task import Job

WARM_UP = EAGER_STEPS + 2  # steps after which a graph is captured and has been replayed


@dataclass(frozen=True)
class Found:
    """Median seconds of a step of each, and the median ratio of neighbouring pairs."""

    without: float
    with_fasa: float
    ratio: float
    batch: int


def measure(base: Job, fasa: Job, device: torch.device, rounds: int) -> Found:
    """Time ``rounds`` pairs of neighbouring steps of two runs on the same data.

    Raises:
        UserError: the data is not prepared.
    """
    dataset = load_data(base)
    torch.set_num_threads(base.scale.threads)
    torch.backends.cudnn.benchmark = True  # as in a run
    pair = [Training(job, dataset, device) for job in (base, fasa)]
    for training in pair:
        past_the_start(training)
    indices = torch.randperm(len(pair[0].train))[: pair[0].recipe.schedule.batch_size].to(device)
    streams = {training.name: own_stream(device) for training in pair}
    times = []
    for turn in range(WARM_UP + rounds):
        spent = {}
        for training in pair if turn % 2 else pair[::-1]:
            with torch.cuda.stream(streams[training.name]):
                _, spent[training.name] = timed(partial(training.step, indices))
        times.append((spent[base.run.recipe], spent[fasa.run.recipe]))
    times = times[WARM_UP:]
    without, with_fasa = zip(*times, strict=True)
    return Found(median(without), median(with_fasa), median(b / a for a, b in times), len(indices))


def past_the_start(training: Training) -> list[Tensor]:
    """Begin an epoch in which FASA acts, which it does not in the first; its batches."""
    training.epoch = 1
    batches = training._begin_epoch()
    method: Any = getattr(training.augmenter, "fasa", None)
    if method is not None:
        method.epoch += 1
    return batches


def main() -> int:
    """Time pairs of neighbouring steps and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", nargs="?", default="ldam")
    parser.add_argument("fasa", nargs="?", default="ldam_fasa")
    parser.add_argument("--scale", default="mini")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--device")
    options = parser.parse_args()
    try:
        study = load_study(scale=options.scale)
        base, fasa = (study.job(Run(name, 0)) for name in (options.base, options.fasa))
        device = choose_device(base, options.device)
        found = measure(base, fasa, device, options.rounds)
    except UserError as error:
        print(f"training_step: {error}", file=sys.stderr)
        return 2
    print(f"{device.type}, {torch.get_num_threads()} threads, scale {options.scale}, batch {found.batch}")
    print(f"{options.base:12} {found.without * 1e3:8.2f} ms a step")
    print(f"{options.fasa:12} {found.with_fasa * 1e3:8.2f} ms a step")
    print(f"ratio        {found.ratio:8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
