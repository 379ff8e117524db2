"""What torch says of an operation, and what it does not say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

# Operations that wait for the device, beside those whose result's shape or value the host must know.
WAITING = {"multinomial", "_linalg_eigh", "linalg_eigh", "_linalg_svd", "linalg_svd", "histc"}
TOLD = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}  # torch's own marks of the latter
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
FILLING = {"fill", "fill_", "masked_fill", "masked_fill_"}
CONVOLUTIONS = {"convolution", "convolution_backward"}
PRODUCTS = {"addmm", "mm", "bmm", "baddbmm", "addmv", "mv"}  # cuBLAS's, which has a workspace for them
SHAPE_ONLY = {"empty_like", "zeros_like", "ones_like", "new_zeros", "new_empty", "new_full", "is_same_size"}


@dataclass(frozen=True)
class Operation:
    """What is known of one.

    Attributes:
        name: as in ``torch.ops.aten``.
        writes: place and name of the arguments that it changes.
        draws: whether it draws random numbers.
        waits: whether the host waits for its result.
        indexes: whether it takes indices or a mask.
        convolves: whether cuDNN searches for its kernel.
        takes_numbers: whether operands may be tensors of the CPU without dimensions: they become Python's numbers.
        shape_only: whether it takes but shape and type of its tensors, wherever these are.
    """

    name: str
    writes: tuple[tuple[int, str], ...]
    draws: bool
    waits: bool
    indexes: bool
    convolves: bool
    takes_numbers: bool
    shape_only: bool


@cache
def operation(func: Any) -> Operation:
    """What is known of ``func``."""
    name = func._schema.name.partition("::")[2]
    changed = [argument.alias_info is not None and argument.alias_info.is_write for argument in func._schema.arguments]
    writes = [(n, argument.name) for n, argument in enumerate(func._schema.arguments) if changed[n]]
    if name == "native_batch_norm":  # its schema does not tell of the running statistics
        writes = [(3, "running_mean"), (4, "running_var")]
    return Operation(
        name=name,
        writes=tuple(writes),
        draws=torch.Tag.nondeterministic_seeded in func.tags,
        waits=name in WAITING or not TOLD.isdisjoint(func.tags),
        indexes=name in INDEXING,
        convolves=name in CONVOLUTIONS,
        takes_numbers=torch.Tag.pointwise in func.tags or name in FILLING,
        shape_only=name in SHAPE_ONLY,
    )
