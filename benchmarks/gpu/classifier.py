"""A classifier's step, eager and as a CUDA graph, the end of an epoch, and what a whole run would take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from benchmarks.gpu.here import Here
from benchmarks.timing import own_stream, timed
from benchmarks.training_step import WARM_UP, past_the_start
from fasa.study import Run
from fasa.tasks.classification.session import load_data
from fasa.tasks.classification.training import Training

GIB = 2**30
BLOCKS, STEPS = 5, 20  # the median of five means, each over steps that do not wait for the device


def measure(here: Here, recipe: str, precision: str) -> None:
    """Time a run of ``recipe`` that computes in ``precision``, ``fp32`` or ``bf16``."""
    job = here.job(Run(recipe, 0))
    job = dataclasses.replace(job, scale=job.scale.model_copy(update={"precision": precision}))
    torch.set_num_threads(job.scale.threads)
    torch.backends.cudnn.benchmark = True  # as in a run
    training = Training(job, load_data(job), here.device)
    batches = past_the_start(training)
    steps = 1 if here.rehearse else STEPS
    with torch.cuda.stream(own_stream(here.device)):
        took = {}
        for way, step in (("eager", training._step), ("graphed", training.step)):
            if here.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            took[way] = _seconds(step, batches, steps)
            memory = _memory(here.device)
            here.say(way, f"{way} {1e3 * took[way]:.2f} ms a step{_told(memory)}", seconds=took[way], **memory)
        for _ in range(WARM_UP):  # the short batch has a graph of its own
            training.step(batches[-1])
        ends = [timed(lambda: training._end_epoch(len(batches)))[1] for _ in range(2)]  # cuDNN searches in the first
    epochs = job.recipe.schedule.epochs
    whole = (took["graphed"] * len(batches) + ends[-1]) * epochs
    here.say(
        "run",
        f"an epoch's end {ends[-1]:.2f} s; {epochs} epochs of {len(batches)} steps: some {whole:.0f} s, extrapolated",
        batch=len(batches[0]),
        last_batch=len(batches[-1]),
        steps=len(batches),
        end_of_epoch_seconds=ends,
        run_seconds=whole,
    )


def _seconds(step: Callable[[Tensor], None], batches: list[Tensor], steps: int) -> float:
    """Of a step on whole batches."""
    whole = [indices for indices in batches if len(indices) == len(batches[0])]
    for number in range(WARM_UP):
        step(whole[number % len(whole)])

    def block() -> None:
        for number in range(steps):
            step(whole[number % len(whole)])

    return median(timed(block)[1] / steps for _ in range(BLOCKS))


def _memory(device: torch.device) -> dict[str, float]:
    """Peaks in GiB: of tensors, and of what torch took for them and for graphs; nothing on a CPU."""
    if device.type != "cuda":
        return {}
    peaks = {"tensors_gib": torch.cuda.max_memory_allocated(), "reserved_gib": torch.cuda.max_memory_reserved()}
    return {name: round(value / GIB, 3) for name, value in peaks.items()}


def _told(memory: dict[str, float]) -> str:
    return f", {memory['tensors_gib']:.2f} GiB of tensors, {memory['reserved_gib']:.2f} reserved" if memory else ""
