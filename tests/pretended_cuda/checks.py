"""What an operation on the device must not do, and what a test may forbid beside."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pretended_cuda import generators
from pretended_cuda.errors import CaptureError, DefaultGeneratorError, DeviceError, SynchronisationError
from pretended_cuda.operations import Operation
from pretended_cuda.recording import recording
from pretended_cuda.streams import ORDER, current_stream

ROOT = Path(__file__).parents[2]
searched: set[Any] = set()  # convolutions that cuDNN has found its kernels for
_quiet: list[str] = []
_own_generators: list[str] = []


@contextmanager
def no_synchronisation(what: str) -> Iterator[None]:
    """Inside, waiting for the device raises: ``what`` must not. If that is empty, it may."""
    _quiet.append(what)
    try:
        yield
    finally:
        _quiet.pop()


@contextmanager
def no_default_generator(what: str) -> Iterator[None]:
    """Inside, draws from the device's default generator raise."""
    _own_generators.append(what)
    try:
        yield
    finally:
        _own_generators.pop()


def reset() -> None:
    """Forget what was searched and forbidden."""
    for collection in (searched, _quiet, _own_generators):
        collection.clear()


def here() -> str:
    """The line of the project that is running, or else of MMDetection's libraries."""
    frame, library = sys._getframe(1), ""
    while frame is not None:
        path, line = frame.f_code.co_filename, frame.f_lineno
        if path.startswith(f"{ROOT}/fasa/"):
            return f"{path[len(str(ROOT)) + 1 :]}:{line}"
        if not library and "site-packages/mm" in path:
            library = f"{path.partition('site-packages/')[2]}:{line}"
        frame = frame.f_back  # type: ignore[assignment]
    return library or "a line outside the project"


def synchronises(what: str) -> None:
    """The host waits for the current stream."""
    if recording():
        raise CaptureError(f"synchronisation ({what}) while capturing, at {here()}")
    if _quiet and _quiet[-1]:
        raise SynchronisationError(f"synchronisation ({what}) in {_quiet[-1]}, at {here()}")
    ORDER.host_waits(current_stream().number)


def check_devices(op: Operation, args: Sequence[Any], pretended: Sequence[Any], plain: Sequence[Any]) -> None:
    """Refuse operands on both devices but where CUDA takes them: indices, and mere numbers in some operations."""
    name = op.name
    if op.indexes and any(tensor is args[0] for tensor in pretended):
        indices = [tensor for tensor in args[1] if tensor is not None]
        plain = [tensor for tensor in plain if not any(tensor is index for index in indices)]
        if not plain or (name != "index" and not any(tensor.dim() for tensor in plain)):
            if any(tensor.device.type == "cpu" for tensor in indices):
                synchronises("an index from the CPU")
            return
    shapes = [tuple(tensor.shape) for tensor in plain if tensor.dim()]
    if shapes:
        raise DeviceError(f"{name}: operands on cuda:0 and the CPU, there of shapes {shapes}, at {here()}")
    if not op.takes_numbers:
        raise DeviceError(f"{name}: operands on cuda:0 and a number on the CPU, at {here()}")
    if name == "where":
        synchronises("a number from the CPU")


def generator_of(name: str, leaves: Iterable[Any]) -> generators.CudaGenerator:
    """What an operation on the device draws from."""
    given = [leaf for leaf in leaves if isinstance(leaf, generators.CpuGenerator)]
    found = generators.OF_THE_DEVICE.get(given[0]._cdata) if given else generators.DEFAULT
    if found is None:
        raise DeviceError(f"{name}: a generator of the CPU for a tensor on cuda:0, at {here()}")
    if found is generators.DEFAULT and _own_generators:
        raise DefaultGeneratorError(f"{name}: torch's default generator in {_own_generators[-1]}, at {here()}")
    if (capture := recording()) and found._cdata not in capture.generators:
        raise CaptureError(f"{name}: a generator that is not registered with the graph, at {here()}")
    return found


def check_waiting(op: Operation, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Let an operation that waits for the device wait, or refuse it."""
    name, waits = op.name, op.waits
    if name == "repeat_interleave":
        waits = kwargs.get("output_size") is None
    if op.indexes:
        masks = [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]
        filled = len(args) > 2 and args[2].numel() == 1 and len(masks) == 1 and not (len(args) > 3 and args[3])
        waits = bool(masks) and not filled
        name = f"{name} by a mask"
    if waits:
        synchronises(name)


def check_search(name: str, args: Sequence[Any], tensors: Sequence[torch.Tensor]) -> None:
    """Refuse to capture a convolution whose kernels cuDNN would search for, as it does at each new shape."""
    if not torch.backends.cudnn.benchmark:
        return
    shapes = tuple((tuple(tensor.shape), tensor.stride(), tensor.dtype) for tensor in tensors)
    key = name, shapes, str([arg for arg in args if not isinstance(arg, torch.Tensor)])
    if recording() and key not in searched:
        raise CaptureError(f"cuDNN searches for kernels of a new shape {shapes[0][0]} while capturing, at {here()}")
    searched.add(key)
