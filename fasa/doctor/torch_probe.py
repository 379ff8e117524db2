"""What torch says of this machine, asked in a process of its own, which a broken one may take with it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fasa.doctor.check import ask, last_line
from fasa.tasks.detection.task import NO_CUDA

SECONDS = 60.0  # to load torch and mmcv: some, or many where the environment lies on a slow file system
BROKEN = (ImportError, OSError, RuntimeError)  # what a build that does not fit raises: absent symbols, no library


@dataclass(frozen=True)
class Device:
    """A GPU: its name, bytes of memory, those that are free, and its compute capability."""

    name: str
    total: int
    free: int
    capability: tuple[int, int]


@dataclass(frozen=True)
class Torch:
    """What was found."""

    error: str = ""  # why torch cannot be loaded; where it cannot, nothing else counts
    version: str = ""
    cuda: str | None = None  # the CUDA or ROCm version that it is built for; None of a build for CPUs only
    unseen: str = ""  # why a build for CUDA sees no GPU
    devices: tuple[Device, ...] = ()
    architectures: tuple[str, ...] = ()  # what it has code for: sm_80, compute_90, …
    operators_error: str = ""  # why mmcv's operators cannot be loaded; empty where they can, or nobody asked
    operators_cuda: str = NO_CUDA  # the CUDA version that they are built for
    processor_bf16: bool = False  # whether the processor multiplies bfloat16


LINE = TypeAdapter(Torch)  # as one line of JSON


def ask_torch(root: Path, operators: bool, python: str = sys.executable, seconds: float = SECONDS) -> Torch:
    """Ask ``python`` from the folder ``root`` for at most ``seconds``; for mmcv's ``operators``, too."""
    code = f"from fasa.doctor import torch_probe as t; print(t.LINE.dump_json(t.look({operators})).decode())"
    answer = ask(python, "-c", code, seconds=seconds, folder=root)
    if answer.reason:
        return Torch(error=answer.reason)
    try:
        return LINE.validate_json(last_line(answer.text))  # whatever an import printed stands before it
    except ValidationError:
        return Torch(error="what Python said of it cannot be read")


def look(operators: bool) -> Torch:
    """Load torch into this process, and mmcv's ``operators`` if asked."""
    try:
        import torch
    except BROKEN as error:
        return Torch(error=_first_line(error))
    from fasa.tasks.devices import processor_has_bf16

    cuda = torch.version.cuda or torch.version.hip
    found = Torch(version=str(torch.__version__), cuda=cuda, processor_bf16=processor_has_bf16())
    if found.cuda:
        found = replace(found, architectures=tuple(torch.cuda.get_arch_list()))
        try:
            torch.cuda.init()
            found = replace(found, devices=tuple(_device(number) for number in range(torch.cuda.device_count())))
        except BROKEN as error:
            found = replace(found, unseen=_first_line(error))
    if operators:
        try:
            from mmcv.ops import get_compiling_cuda_version
        except BROKEN as error:
            return replace(found, operators_error=_first_line(error))
        found = replace(found, operators_cuda=get_compiling_cuda_version())
    return found


def _device(number: int) -> Device:
    from torch import cuda

    free, total = cuda.mem_get_info(number)
    return Device(cuda.get_device_name(number), total, free, cuda.get_device_capability(number))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
