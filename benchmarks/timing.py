"""Interleaved timing: rivals take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch


def medians(rivals: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each rival over ``rounds`` turns, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(rounds + 1):
        for name, call in rivals.items():
            start = time.perf_counter()
            call()
            synchronise()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What ``call`` returns, and its wall seconds with all of the device's work."""
    synchronise()
    start = time.perf_counter()
    result = call()
    synchronise()
    return result, time.perf_counter() - start


def synchronise() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def own_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A stream for steps that are captured; None on a CPU, which ``torch.cuda.stream`` takes, too."""
    synchronise()  # what was made on the default stream is there before this one reads it
    return torch.cuda.Stream(device) if device.type == "cuda" else None


def where() -> str:
    """Device and threads, for a table's head."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return f"{device}, {torch.get_num_threads()} thread(s), torch {torch.__version__}"
