"""A tensor that says it is on cuda:0 and whose numbers lie on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pretended_cuda.streams import CUDA

NOT_NUMPY = (
    "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
)


class CudaTensor(torch.Tensor):
    """A wrapper; ``inner`` has the numbers."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> CudaTensor:
        assert not isinstance(inner, CudaTensor)
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=CUDA,
        )
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        from pretended_cuda.dispatch import run  # which makes such tensors

        return run(func, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"CudaTensor({self.inner!r})"

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_copied(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_copied(index), value)

    def as_subclass(self, cls: type) -> Any:
        made = self.view_as(self)
        made.__class__ = type(cls.__name__, (CudaTensor, cls), {})
        return made

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    def numpy(self, **_: Any) -> Any:  # type: ignore[override]
        raise TypeError(NOT_NUMPY)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(NOT_NUMPY)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copy = self.detach().clone().requires_grad_(self.requires_grad)
            is_parameter = isinstance(self, torch.nn.Parameter)
            memo[id(self)] = torch.nn.Parameter(copy, self.requires_grad) if is_parameter else copy
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise NotImplementedError("pickling by other ways than torch.save")


def _copied(index: Any) -> Any:
    """An index, its lists and arrays of numbers copied to the device, as torch's C++ side does with them."""
    if isinstance(index, tuple):
        return tuple(map(_copied, index))
    return torch.as_tensor(index, device=CUDA) if isinstance(index, (list, np.ndarray)) else index
