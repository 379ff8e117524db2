"""What torch, asked in a process of its own, says of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from fasa.doctor.ask import last_line

SECONDS = 60.0  # to load torch and mmcv: some here, many where the environment lies on a slow file system


@dataclass(frozen=True)
class Device:
    """A GPU: its name, bytes of memory, those that are free, and its compute capability."""

    name: str
    total: int
    free: int
    capability: tuple[int, int]


@dataclass(frozen=True)
class Torch:
    """What was found.

    Attributes:
        error: why torch cannot be loaded; empty where it can, and nothing else counts where not.
        version: torch's.
        cuda: the CUDA (or ROCm) version that it is built for; None of a build for processors alone.
        unseen: why a build for CUDA sees no GPU.
        devices: the GPUs that it sees.
        architectures: what it has code for: ``sm_80``, ``compute_90``, …
        operators_error: why mmcv's operators cannot be loaded; empty where they can, or nobody asked.
        operators_cuda: the CUDA version that they are built for, ``not available`` of a build for processors.
    """

    error: str = ""
    version: str = ""
    cuda: str | None = None
    unseen: str = ""
    devices: tuple[Device, ...] = ()
    architectures: tuple[str, ...] = ()
    operators_error: str = ""
    operators_cuda: str = field(default="not available")

    @property
    def operators_for_gpus(self) -> bool:
        """Whether mmcv's operators run on a GPU."""
        return self.operators_cuda != "not available"


def start(root: Path, operators: bool, python: str = sys.executable) -> subprocess.Popen[str]:
    """Begin to ask ``python``, from the folder ``root``; of mmcv's ``operators``, too."""
    command = [python, "-m", "fasa.doctor.torch_probe", *(["operators"] if operators else [])]
    return subprocess.Popen(
        command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str], seconds: float = SECONDS) -> Torch:
    """What :func:`start` has found, waited for at most so many ``seconds``."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Torch(error=f"it was not loaded within {seconds:g} seconds")
    if process.returncode:
        reason = last_line(err) or "it said nothing"
        return Torch(error=f"Python ended with code {process.returncode}: {reason}")
    try:
        found = json.loads(last_line(out))  # whatever an import printed stands before it
    except ValueError:
        return Torch(error="what Python said of it cannot be read")
    if "error" in found:
        return Torch(error=found["error"])
    operators = found.get("operators", {})
    return Torch(
        version=found["torch"],
        cuda=found["cuda"],
        unseen=found["unseen"],
        devices=tuple(
            Device(one["name"], one["total"], one["free"], tuple(one["capability"])) for one in found["devices"]
        ),
        architectures=tuple(found.get("architectures", ())),
        operators_error=operators.get("error", ""),
        operators_cuda=operators.get("cuda", "not available"),
    )
