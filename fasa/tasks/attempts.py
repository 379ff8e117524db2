"""The attempts that a training took, and whether all were of one kind: the same bits want the same machine and code."""

from __future__ import annotations

import socket
import sys
from typing import Any

import torch

from fasa.tasks.provenance import code_version, installed_version
from fasa.tasks.task import Job

# What decides the bits beside recipe and seed.
DECISIVE = {
    "device": "device",
    "cpu_capability": "instruction set",
    "threads": "number of threads",
    "processes": "number of processes",
    "torch": "torch",
    "code_version": "code",
}


def device_name(device: torch.device) -> str:
    """The GPU's model, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def and_this(
    earlier: list[dict[str, Any]], job: Job, epoch: int, device: torch.device, processes: int = 1
) -> list[dict[str, Any]]:
    """``earlier`` attempts at a training, and the one that goes on here after ``epoch`` epochs.

    Where it differs from the one before in what decides the bits, it says so, and one line is printed.
    """
    here: dict[str, Any] = {
        "epoch": epoch,
        "host": socket.gethostname(),
        "device": device_name(device),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "torch": installed_version("torch"),
        "code_version": code_version(job.root),
    }
    if earlier:
        before = earlier[-1]
        here["differs_in"] = [key for key in DECISIVE if before[key] != here[key]]
        if here["differs_in"]:
            told = ", ".join(f"{DECISIVE[key]} ({before[key]}, now {here[key]})" for key in here["differs_in"])
            mind = "its weights may be others than of a training that never stopped"
            print(f"fasa: {job} goes on with another {told}: {mind}.", file=sys.stderr)
    return [*earlier, here]
