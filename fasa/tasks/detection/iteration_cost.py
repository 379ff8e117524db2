"""What an iteration of a training costs: seconds and memory, as the paper's supplement measures them (its table 5)."""

from __future__ import annotations

import math
import resource
import sys
import time
from itertools import pairwise
from typing import Any

import torch

GIB = 2**30
RESIDENT_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of the system's count


class IterationCost:
    """Times the iterations of an epoch and notes the peak of memory; the device is waited for once an epoch.

    A time is that between the ends of two iterations, so the wait for data counts and what happens between two epochs
    (adaptation, checkpoints) does not. The caller leaves the first epoch out: it warms up, and draws no virtual
    features. On a GPU the ends are events in its stream, read when the epoch is over.
    """

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0
        self.device_bytes, self.resident_bytes = 0, 0
        self._device = torch.device("cpu")
        self._ends: list[Any] = []

    def begin_epoch(self, device: torch.device) -> None:
        """Start an epoch on ``device``."""
        self._device, self._ends = device, []
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def end_iteration(self) -> None:
        """Note the end of an iteration; does not wait for the device."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            self._ends.append(event)
            # Here and not once an epoch: mmengine's log starts the device's peak anew whenever it prints it.
            self.device_bytes = max(self.device_bytes, torch.cuda.max_memory_allocated(self._device))
        else:
            self._ends.append(time.perf_counter())

    def end_epoch(self) -> None:
        """Add the epoch's times to the sums."""
        pairs, self._ends = list(pairwise(self._ends)), []
        if pairs and self._device.type == "cuda":
            pairs[-1][1].synchronize()
            times = [start.elapsed_time(end) / 1000 for start, end in pairs]
        else:
            times = [end - start for start, end in pairs]
        self.count += len(times)
        self.total += sum(times)
        self.squares += sum(seconds**2 for seconds in times)
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RESIDENT_UNIT
        self.resident_bytes = max(self.resident_bytes, resident)

    def state(self) -> dict[str, float]:
        """The sums over all attempts, for a checkpoint."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}

    def load(self, state: dict[str, float]) -> None:
        """Go on from what :meth:`state` gave."""
        for key, value in state.items():
            setattr(self, key, value)

    def measured(self) -> dict[str, float | int | None]:
        """Mean and standard deviation of ``seconds_per_iteration`` over ``iterations``, and peaks of memory in GiB.

        ``memory_gb`` is what tensors held on the GPU of the first process (null without a GPU), ``resident_gb`` what
        that process held of the machine's memory since it began; null is what was not measured.
        """
        mean = self.total / self.count if self.count else None
        variance = None
        if mean is not None and self.count > 1:
            variance = (self.squares - self.count * mean**2) / (self.count - 1)
        return {
            "seconds_per_iteration": _rounded(mean, 6),
            "seconds_per_iteration_std": None if variance is None else _rounded(math.sqrt(max(0.0, variance)), 6),
            "memory_gb": _rounded(self.device_bytes / GIB or None, 3),
            "resident_gb": _rounded(self.resident_bytes / GIB or None, 3),
            "iterations": self.count,
        }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
