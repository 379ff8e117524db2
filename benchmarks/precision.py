"""A classifier's training step in bf16 beside float32, in turn, in one process, on this machine's processor.

    python -m benchmarks.precision [RECIPE] [--scale proxy] [--rounds 15]

The recipe's data must be there (`fasa data RECIPE --scale SCALE`). Prints processor seconds of a step of each.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from statistics import median

import torch

from fasa.errors import UserError
from fasa.study import Run, load_study
from fasa.tasks.classification.session import load_data
from fasa.tasks.classification.training import Training
from fasa.tasks.devices import check_precision
from fasa.tasks.task import Job

WARM_UP = 2  # turns that do not count
CPU = torch.device("cpu")


def measure(job: Job, rounds: int) -> dict[str, list[float]]:
    """Processor seconds of ``rounds`` steps of each precision, by its name.

    Raises:
        UserError: the data is not prepared, or the processor has no bf16.
    """
    dataset = load_data(job)
    torch.set_num_threads(job.scale.threads)
    rivals = {}
    for name in ("fp32", "bf16"):
        of_this = replace(job, scale=job.scale.model_copy(update={"precision": name}))
        check_precision(of_this, CPU)
        rivals[name] = Training(of_this, dataset, CPU)
    spent: dict[str, list[float]] = {name: [] for name in rivals}
    batches = {name: training._begin_epoch()[0] for name, training in rivals.items()}
    for turn in range(WARM_UP + rounds):
        for name, training in rivals.items():
            started = time.process_time()
            training.step(batches[name])
            if turn >= WARM_UP:
                spent[name].append(time.process_time() - started)
    return spent


def main() -> int:
    """Time both and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="ldam")
    parser.add_argument("--scale", default="proxy")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    try:
        job = load_study(scale=options.scale).job(Run(options.recipe, 0))
        spent = measure(job, options.rounds)
    except UserError as error:
        print(f"precision: {error}", file=sys.stderr)
        return 2
    print(f"{torch.cpu.get_capabilities()['cpu_name']}, {torch.get_num_threads()} thread(s), scale {options.scale}")
    for name, seconds in spent.items():
        print(f"{options.recipe}, {name} {median(seconds) * 1e3:8.1f} ms a step")
    ratios = [wide / narrow for wide, narrow in zip(spent["fp32"], spent["bf16"], strict=True)]
    print(f"fp32 / bf16 {median(ratios):6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
