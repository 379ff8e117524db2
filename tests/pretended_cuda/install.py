"""``torch.cuda`` of a machine with one device, and those functions of torch that ask its C++ side for memory there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from pretended_cuda import checks, generators, graphs, recording, streams
from pretended_cuda.dispatch import DeviceMode
from pretended_cuda.errors import CaptureError
from pretended_cuda.tensor import CudaTensor
from torch.optim import optimizer
from torch.utils._python_dispatch import _disable_current_modes


def install() -> None:
    """From here on this process has a CUDA device; there is no way back."""
    DeviceMode().__enter__()
    torch.Generator = generators.Generator  # type: ignore[misc]
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    optimizer._foreach_supported_types.append(CudaTensor)  # as of CUDA's tensors
    _torch_cuda()
    _constructors()
    _files()


def reset() -> None:
    """Let a scenario find the device as a new process would."""
    for module in (streams, recording, graphs, checks):
        module.reset()  # type: ignore[attr-defined]
    generators.DEFAULT.manual_seed(0)
    torch.backends.cudnn.benchmark = False


def _torch_cuda() -> None:
    properties = SimpleNamespace(name="pretended", total_memory=2**34, major=9, minor=0, multi_processor_count=132)
    default = generators.DEFAULT
    constants = {
        "is_available": True,
        "is_initialized": True,
        "device_count": 1,
        "current_device": 0,
        "max_memory_allocated": 0,
        "memory_allocated": 0,
        "get_device_name": properties.name,
        "get_device_capability": (properties.major, properties.minor),
        "get_device_properties": properties,
        "is_bf16_supported": True,
        "default_stream": streams.DEFAULT_STREAM,
        **dict.fromkeys(["_lazy_init", "init", "set_device", "empty_cache", "reset_peak_memory_stats"]),
    }
    for name, value in constants.items():
        setattr(torch.cuda, name, _always(value))
    replaced: dict[str, Any] = {
        "Stream": streams.Stream,
        "Event": streams.Event,
        "stream": streams.StreamContext,
        "current_stream": streams.current_stream,
        "synchronize": streams.synchronize,
        "CUDAGraph": graphs.CUDAGraph,
        "graph": graphs.graph,
        "is_current_stream_capturing": lambda: recording.recording() is not None,
        "manual_seed": default.manual_seed,
        "manual_seed_all": default.manual_seed,
        "get_rng_state": lambda device=None: default.get_state(),
        "set_rng_state": lambda state, device=None: default.set_state(state),
    }
    for name, value in replaced.items():
        setattr(torch.cuda, name, value)
    torch.backends.cuda.is_built = _always(True)  # type: ignore[assignment]
    torch._C._cuda_getCompiledVersion = _always(13000)  # type: ignore[attr-defined]
    torch.Tensor.cuda = lambda self, *_, **__: self.to("cuda")  # type: ignore[method-assign]


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def _constructors() -> None:
    """Those that make a tensor of Python's numbers do so on the CPU and copy it, as CUDA's do."""
    on_the_cpu = torch.tensor

    def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, **_: Any) -> Any:
        made = on_the_cpu(data, dtype=dtype)
        return made.to(device or "cpu").requires_grad_(requires_grad)

    def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
        made = data if isinstance(data, torch.Tensor) else _as_tensor(data, dtype=dtype)
        return made.to(device=made.device if device is None else device, dtype=made.dtype if dtype is None else dtype)

    def new_tensor(self: Any, data: Any, *, dtype: Any = None, device: Any = None, **others: Any) -> Any:
        return tensor(data, dtype=dtype or self.dtype, device=self.device if device is None else device, **others)

    _as_tensor = torch.as_tensor
    torch.tensor, torch.as_tensor = tensor, as_tensor  # type: ignore[assignment]
    torch.Tensor.new_tensor = new_tensor  # type: ignore[method-assign, assignment]


def _files() -> None:
    """torch.save: a file has the numbers, which the project reads to the CPU (``fasa/torch_files.py``)."""
    save = torch.save

    def saved(content: Any, *args: Any, **kwargs: Any) -> None:
        if recording.recording():
            raise CaptureError(f"synchronisation (torch.save) while capturing, at {checks.here()}")
        streams.ORDER.host_waits(streams.current_stream().number)
        with _disable_current_modes():
            save(_on_the_cpu(content), *args, **kwargs)

    torch.save = saved


def _on_the_cpu(content: Any) -> Any:
    """``content`` with its tensors on the CPU, in the containers that a state dict is made of."""
    if isinstance(content, CudaTensor):
        return content.detach().inner
    if type(content) in (dict, OrderedDict):
        return type(content)((key, _on_the_cpu(value)) for key, value in content.items())
    if type(content) in (list, tuple):
        return type(content)(map(_on_the_cpu, content))
    return content
