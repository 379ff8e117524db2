"""What FASA adds to a training step: steps of one recipe with and without it, in turn, in one process.

    python benchmarks/training_step.py [BASE FASA] [--scale mini] [--rounds 30]

At scale paper it needs that scale's data (`fasa data ldam --scale paper`). Prints the median time of a step of each and
the median ratio of neighbouring pairs; the goal is at most 1.05 on a CPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from fasa.study import Run, load_study
from fasa.tasks.classification.session import choose_device, load_data
from fasa.tasks.classification.training import Training


def main() -> None:
    """Time pairs of neighbouring steps and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", nargs="?", default="ldam")
    parser.add_argument("fasa", nargs="?", default="ldam_fasa")
    parser.add_argument("--scale", default="mini")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--device")
    options = parser.parse_args()
    study, device = load_study(scale=options.scale), choose_device(options.device)
    torch.set_num_threads(study.task_scale(options.base).threads)
    dataset = load_data(study, options.base)
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = dataclasses.replace(study, root=Path(folder))
        pair = [Training(elsewhere.job(Run(name, 0)), dataset, device) for name in (options.base, options.fasa)]
        for training in pair:
            training.epoch = 1  # FASA adds nothing before
            training._begin_epoch()
            if hasattr(training.augmenter, "fasa"):
                training.augmenter.fasa.epoch += 1
        indices = torch.randperm(len(pair[0].train))[: pair[0].recipe.schedule.batch_size].to(device)
        times: list[tuple[float, ...]] = []
        for turn in range(options.rounds + 3):
            order = pair if turn % 2 else pair[::-1]
            spent = {training.name: seconds(training, indices) for training in order}
            times.append((spent[options.base], spent[options.fasa]))
    base, with_fasa = zip(*times[3:], strict=True)
    print(f"{device.type}, {torch.get_num_threads()} threads, scale {options.scale}, batch {len(indices)}")
    print(f"{options.base:12} {median(base) * 1e3:8.2f} ms a step")
    print(f"{options.fasa:12} {median(with_fasa) * 1e3:8.2f} ms a step")
    print(f"ratio        {median(f / b for b, f in times[3:]):8.3f}")


def seconds(training: Training, indices: torch.Tensor) -> float:
    """Wall seconds of one step, the device's work included."""
    if indices.is_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    training.step(indices)
    if indices.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
