"""Collective operations that a process alone may call too: then they change nothing and wait for nobody."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def is_distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def all_reduce(*tensors: Tensor) -> None:
    """Sum each tensor over all processes, in place."""
    if is_distributed():
        for tensor in tensors:
            dist.all_reduce(tensor)


def broadcast(*tensors: Tensor) -> None:
    """Give every process the first one's values, in place."""
    if is_distributed():
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def all_gather(tensor: Tensor) -> Tensor:
    """The rows ``[n, …]`` of all processes in rank order, ``[P * n, …]``; ``n`` must be the same in each."""
    if not is_distributed():
        return tensor
    gathered = tensor.new_empty(dist.get_world_size() * len(tensor), *tensor.shape[1:])
    dist.all_gather_into_tensor(gathered, tensor)
    return gathered
