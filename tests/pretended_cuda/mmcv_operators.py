"""mmcv's compiled operators, which torch's dispatcher does not know: run on the CPU, for tensors of one device only."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from pretended_cuda import checks
from pretended_cuda.errors import DeviceError
from pretended_cuda.tensor import CudaTensor
from torch.utils._pytree import tree_flatten, tree_map

WAITING = {"nms"}  # the host must know how many boxes are left


def install() -> None:
    """Let them take tensors of the device."""
    from mmcv import _ext

    for name in dir(_ext):
        function = getattr(_ext, name)
        if callable(function) and not name.startswith("_"):
            setattr(_ext, name, _on_the_cpu(name, function))


def _on_the_cpu(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, torch.Tensor)]
        pretended = [tensor for tensor in tensors if isinstance(tensor, CudaTensor)]
        if not pretended:
            return function(*args, **kwargs)
        if len(pretended) < len(tensors):
            raise DeviceError(f"mmcv's {name}: operands on cuda:0 and the CPU, at {checks.here()}")
        if name in WAITING:
            checks.synchronises(f"mmcv's {name}")
        args, kwargs = tree_map(lambda leaf: leaf.inner if isinstance(leaf, CudaTensor) else leaf, (args, kwargs))
        return tree_map(
            lambda leaf: CudaTensor(leaf) if isinstance(leaf, torch.Tensor) else leaf, function(*args, **kwargs)
        )

    return run
