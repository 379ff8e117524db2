"""RoIAlign and NMS by torchvision's kernels where mmcv was built for processors alone.

All of MMDetection reaches the two through mmcv's compiled module, so they are exchanged there, for tensors of one kind
of device.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fasa.errors import UserError

LACKING = "implementation for device"  # mmcv's words


def provide(device: torch.device) -> str:
    """See that both operators run on ``device``; whose they are: ``mmcv`` or ``torchvision``.

    Raises:
        UserError: mmcv has none for it, and torchvision is missing.
    """
    compiled = importlib.import_module("mmcv._ext")
    if runs(compiled, device):
        return "mmcv"
    try:
        importlib.import_module("torchvision.ops")
    except (ImportError, OSError, RuntimeError) as error:  # the last two of one that is of another torch
        raise UserError(
            f"mmcv has no operators for {device.type}, and torchvision's, which would do, cannot be loaded: build mmcv "
            "where CUDA's compiler is (requirements/install.sh), or install the torchvision of this torch."
        ) from error
    exchange(compiled, device.type)
    return "torchvision"


def runs(compiled: ModuleType, device: torch.device) -> bool:
    """Whether mmcv's compiled module has kernels for ``device``."""
    try:
        compiled.nms(torch.zeros(1, 4, device=device), torch.zeros(1, device=device), iou_threshold=0.5, offset=0)
    except RuntimeError as error:
        if LACKING not in str(error):
            raise
        return False
    return True


def exchange(compiled: ModuleType, kind: str) -> None:
    """Let the module's three functions call torchvision's for tensors on devices of ``kind``."""
    torchvisions: dict[str, Callable] = {
        "nms": _nms,
        "roi_align_forward": _roi_align_forward,
        "roi_align_backward": _roi_align_backward,
    }
    for name, theirs in torchvisions.items():
        setattr(compiled, name, _by_device(getattr(compiled, name), theirs, kind))


def _by_device(mmcvs: Callable, torchvisions: Callable, kind: str) -> Callable:
    def call(first: Tensor, *others: Any, **options: Any) -> Any:
        return (torchvisions if first.device.type == kind else mmcvs)(first, *others, **options)

    return call


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    assert offset == 0, "torchvision's boxes end at their last coordinate"
    return torch.ops.torchvision.nms(boxes, scores, iou_threshold)


def _roi_align_forward(
    maps: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **options: Any
) -> None:
    size, sampling = _settings(options)
    output.copy_(torch.ops.torchvision.roi_align(maps, rois, options["spatial_scale"], *size, *sampling))


def _roi_align_backward(
    gradient: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, of_maps: Tensor, **options: Any
) -> None:
    size, sampling = _settings(options)
    backward = torch.ops.torchvision._roi_align_backward
    of_maps.copy_(backward(gradient, rois, options["spatial_scale"], *size, *of_maps.shape, *sampling))


def _settings(options: dict[str, Any]) -> tuple[tuple[int, int], tuple[int, bool]]:
    assert options["pool_mode"] == 1, "torchvision pools by averages"
    size = options["aligned_height"], options["aligned_width"]
    return size, (options["sampling_ratio"], options["aligned"])
