"""The backbones of the CIFAR-LT tables: LDAM's ResNet-32, BBN's two-branch ResNet-32, ResNet-34 with a 3x3 stem.

Every network maps images ``[n, 3, H, W]`` to feature maps ``[n, d, h, w]``; global average pooling makes them features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def norm_relu(norm: nn.BatchNorm2d, maps: Tensor, shortcut: Tensor | None = None) -> Tensor:
    """relu(norm(maps) + shortcut), all ``[n, C, h, w]``; one operation in a bf16 training on a processor."""
    if norm.training and maps.dtype == torch.bfloat16 and maps.device.type == "cpu":
        from fasa.tasks.classification.fused import FusedNormRelu  # loads numba

        fused: Tensor = FusedNormRelu.apply(maps, shortcut, norm.weight, norm.bias, norm)
        return fused
    maps = norm(maps)
    return functional.relu(maps if shortcut is None else maps + shortcut)


class PadShortcut(nn.Module):
    """Option A of He et al. (2016): every second pixel, new channels filled with zeros on both sides; no parameters."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, maps: Tensor) -> Tensor:
        return functional.pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra // 2))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a shortcut (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int, projection: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = (
                nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
                if projection
                else PadShortcut(outputs - inputs)
            )

    def forward(self, maps: Tensor) -> Tensor:
        out = norm_relu(self.bn1, self.conv1(maps))
        return norm_relu(self.bn2, self.conv2(out), self.shortcut(maps))


class ResNet(nn.Module):
    """A residual network for small images: 3x3 stem, stages that halve the map and double the width.

    Args:
        blocks: basic blocks of each stage.
        width: channels of the first stage.
        projection: 1x1-convolution shortcuts instead of option A.
        branches: parallel further blocks on the last map, concatenated on channels (BBN, Zhou et al. 2020).
    """

    def __init__(self, blocks: Sequence[int], width: int, projection: bool = False, branches: int = 0) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        stages: list[nn.Module] = []
        inputs = width
        for stage, depth in enumerate(blocks):
            outputs = width * 2**stage
            for block in range(depth):
                stride = 2 if stage and not block else 1
                stages.append(BasicBlock(inputs, outputs, stride, projection))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.branches = nn.ModuleList(BasicBlock(inputs, inputs, 1, projection) for _ in range(branches))
        self.feature_dim = inputs * max(1, branches)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        convolution, norm, _ = self.stem
        assert isinstance(norm, nn.BatchNorm2d)
        maps = self.stages(norm_relu(norm, convolution(images)))
        return torch.cat([branch(maps) for branch in self.branches], 1) if self.branches else maps


# Paper-size settings; a scale may ask for fewer blocks or channels (configs/scales).
BACKBONES: dict[str, dict[str, Any]] = {
    "resnet32": {"blocks": (5, 5, 5), "width": 16},
    "resnet32_two_branch": {"blocks": (5, 5, 4), "width": 16, "branches": 2},
    "resnet34": {"blocks": (3, 4, 6, 3), "width": 64, "projection": True},
}


def build_backbone(name: str, **smaller: Any) -> ResNet:
    """The backbone ``name`` of :data:`BACKBONES`, with a scale's overrides."""
    return ResNet(**{**BACKBONES[name], **smaller})
