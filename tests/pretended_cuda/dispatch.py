"""One operation: checked as CUDA would check it, run on the CPU, noted for streams and captures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from pretended_cuda import checks
from pretended_cuda.generators import drawing
from pretended_cuda.operations import Operation, operation
from pretended_cuda.recording import buffer, recording, results
from pretended_cuda.streams import ORDER, Stream
from pretended_cuda.tensor import CudaTensor
from torch.utils._python_dispatch import TorchDispatchMode

CPU = torch.device("cpu")


class DeviceMode(TorchDispatchMode):
    """All operations pass here, also those that make tensors."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled, and to ask takes a while

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What ``func`` gives, on the device that its operands or its ``device`` name."""
    leaves = _leaves((*args, *kwargs.values()))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    pretended = [tensor for tensor in tensors if isinstance(tensor, CudaTensor)]
    target = kwargs.get("device")
    to_cuda = target is not None and torch.device(target).type == "cuda"
    if not pretended and not to_cuda:
        return func(*args, **kwargs)
    op = operation(func)
    name = op.name
    if name == "_to_copy" and (not pretended or (target is not None and not to_cuda)):
        return _copied_over(func, args[0], kwargs)
    if name == "copy_" and len(pretended) == 1 and len(tensors) == 2:
        return _copied_into(*args)
    if target is not None and not to_cuda:  # x.new_zeros(…, device="cpu")
        return func(*(_inner(arg) for arg in args), **kwargs)
    if pretended and len(pretended) < len(tensors) and not op.shape_only:
        checks.check_devices(op, args, pretended, [tensor for tensor in tensors if not isinstance(tensor, CudaTensor)])
    generator = checks.generator_of(name, leaves) if op.draws else None
    if op.waits or op.indexes:
        checks.check_waiting(op, args, kwargs)
    if op.convolves:
        checks.check_search(name, args, tensors)
    call = _on_the_cpu(drawing(generator, func) if generator else func, args, kwargs)
    return _noted(op, call, pretended)


def _leaves(values: Any) -> list[Any]:
    found = []
    for value in values:
        if isinstance(value, (list, tuple)):
            found += _leaves(value)
        else:
            found.append(value)
    return found


def _inner(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        # A number of the host's becomes part of the launch, and so of a capture.
        return value.inner if isinstance(value, CudaTensor) else value.clone() if recording() else value
    if isinstance(value, (list, tuple)):
        return type(value)(map(_inner, value)) if type(value) in (list, tuple) else value
    return CPU if isinstance(value, torch.device) else value


def _on_the_cpu(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> partial[Any]:
    kwargs = {key: _inner(value) for key, value in kwargs.items() if key != "pin_memory"}
    if kwargs.get("device") is not None:
        kwargs["device"] = CPU
    return partial(function, *map(_inner, args), **kwargs)


def _noted(op: Operation, call: partial[Any], pretended: list[Any]) -> Any:
    capture = recording()
    read = {buffer(tensor.inner) for tensor in pretended if tensor.numel()}
    written = _written(op, call) if op.writes else []
    if capture:
        capture.keep(written)
    shapes = [tensor.shape for tensor in written]
    result = call()
    assert shapes == [tensor.shape for tensor in written], f"{op.name} changed a shape in place"
    made = {n: t for n, t in enumerate(results(result)) if t.numel() and buffer(t) not in read}
    if capture:
        capture.add(op.name, call, read, written, made)
    elif Stream.made:
        _touched(op.name, read, written, made)
    known = {id(tensor.inner): tensor for tensor in pretended}
    return _wrapped_all(result, known)


def _written(op: Operation, call: partial[Any]) -> list[torch.Tensor]:
    """The tensors that an operation is about to change."""
    values = [call.args[n] if n < len(call.args) else call.keywords.get(name) for n, name in op.writes]
    return [tensor for tensor in results(values) if tensor.numel()]


def _touched(name: str, read: set[int], written: list[torch.Tensor], made: dict[int, torch.Tensor]) -> None:
    for place in read:
        ORDER.read(place, name)
    for tensor in written:
        ORDER.written(buffer(tensor), name)
    for tensor in made.values():
        ORDER.made(buffer(tensor), name)


def _wrapped_all(value: Any, known: dict[int, Any]) -> Any:
    if isinstance(value, torch.Tensor):
        return known[id(value)] if id(value) in known else CudaTensor(value)  # what changed in place is itself
    if isinstance(value, (list, tuple)):
        return type(value)(_wrapped_all(part, known) for part in value)
    return value


def _copied_over(func: Any, source: Any, kwargs: dict[str, Any]) -> torch.Tensor:
    """``source`` on the other device."""
    options = {key: value for key, value in kwargs.items() if key not in ("device", "non_blocking", "pin_memory")}
    if not kwargs.get("non_blocking") or recording():
        checks.synchronises("a copy to the CPU" if isinstance(source, CudaTensor) else "a copy from the CPU")
    if isinstance(source, CudaTensor):
        if Stream.made:
            ORDER.read(buffer(source.inner), "a copy to the CPU")
        return func(source.inner, **options)
    made = func(source, **options)
    ORDER.made(buffer(made), "a copy from the CPU")
    return CudaTensor(made)


def _copied_into(target: Any, source: Any, non_blocking: bool = False) -> torch.Tensor:
    """``target``, with the numbers of ``source``, which is on the other device."""
    name = "a copy to the CPU" if isinstance(source, CudaTensor) else "a copy from the CPU"
    if not non_blocking or recording():
        checks.synchronises(name)
    _inner(target).copy_(_inner(source))
    if Stream.made and isinstance(source, CudaTensor):
        ORDER.read(buffer(source.inner), name)
    elif Stream.made:
        ORDER.written(buffer(target.inner), name)
    return target
