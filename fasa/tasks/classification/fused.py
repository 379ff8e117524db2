"""Batch normalisation, shortcut and ReLU as one operation on bf16 maps of a processor.

There the convolutions are fast, and what reads and writes the maps between them is a third of a training step. These
loops pass over the maps twice forward and twice backward, where torch's operations pass over them ten times. They take
one thread; more of torch's only help the convolutions. Maps are uint16 (pixels, C) here, the bits of bf16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fasa.evaluation.portable.compiled import compiled

BLOCK = 256  # pixels whose sum is of float32; that of blocks is of float64


class FusedNormRelu(torch.autograd.Function):
    """relu(batch_norm(maps) + shortcut) with the batch's own statistics (Ioffe and Szegedy, 2015, section 3)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, shortcut: Tensor | None, weight: Tensor, bias: Tensor, norm: Any) -> Tensor:
        """Maps and shortcut bf16 ``[n, C, h, w]``, as the result is; the norm's running statistics move on."""
        maps = _channels_last(maps)
        out, statistics = torch.empty_like(maps), np.zeros((2, maps.shape[1]))
        norm.num_batches_tracked.add_(1)
        normalise(
            _bits(maps), _bits(maps if shortcut is None else _channels_last(shortcut)), shortcut is not None,
            weight.numpy(), bias.numpy(), norm.momentum, norm.eps,
            norm.running_mean.numpy(), norm.running_var.numpy(), statistics, _bits(out),
        )  # fmt: skip
        ctx.save_for_backward(maps, out, weight)
        ctx.statistics, ctx.added = statistics, shortcut is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        maps, out, weight = ctx.saved_tensors
        to_maps, passed = torch.empty_like(maps), torch.empty_like(maps)
        to_weight, to_bias = torch.empty_like(weight), torch.empty_like(weight)
        differentiate(
            _bits(maps), _bits(out), _bits(_channels_last(gradient)), weight.numpy(), ctx.statistics,
            _bits(passed), _bits(to_maps), to_weight.numpy(), to_bias.numpy(),
        )  # fmt: skip
        return to_maps, passed if ctx.added else None, to_weight, to_bias, None


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)


def _bits(maps: Tensor) -> np.ndarray:
    return maps.permute(0, 2, 3, 1).view(torch.uint16).numpy().reshape(-1, maps.shape[1])


@compiled
def widened(bits):
    """The float32 of a bf16's 16 bits."""
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@compiled
def rounded(value):
    """The 16 bits of the bf16 that is nearest to a float32, of two the even one."""
    bits = np.float32(value).view(np.uint32)
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@compiled
def normalise(maps, shortcut, added, weight, bias, momentum, eps, running_mean, running_var, statistics, out):
    """Fill ``out``, and ``statistics`` (2, C) with the mean and 1 / sqrt(variance + eps); move the running ones on."""
    pixels, channels = maps.shape
    first, second = np.empty(channels, np.float32), np.empty(channels, np.float32)
    scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for block in range(0, pixels, BLOCK):
        first[:], second[:] = 0, 0
        for i in range(block, min(pixels, block + BLOCK)):
            for c in range(channels):
                value = widened(maps[i, c])
                first[c] += value
                second[c] += value * value
        for c in range(channels):
            statistics[0, c] += first[c]
            statistics[1, c] += second[c]
    for c in range(channels):
        mean = statistics[0, c] / pixels
        variance = statistics[1, c] / pixels - mean**2
        variance = 0.0 if variance < 0 else variance  # by rounding; what is not a number stays
        statistics[0, c], statistics[1, c] = mean, 1 / np.sqrt(variance + eps)
        running_mean[c] += momentum * (mean - running_mean[c])
        running_var[c] += momentum * (variance * pixels / (pixels - 1) - running_var[c])
        scale[c] = weight[c] * statistics[1, c]
        shift[c] = bias[c] - mean * scale[c]
    for i in range(pixels):
        for c in range(channels):
            value = widened(maps[i, c]) * scale[c] + shift[c]
            if added:
                value += widened(shortcut[i, c])
            out[i, c] = rounded(np.float32(0) if value < 0 else value)


@compiled
def differentiate(maps, out, gradient, weight, statistics, passed, to_maps, to_weight, to_bias):
    """Fill ``passed``, the gradient where ``out`` is not 0, and the gradients of maps, weight and bias."""
    pixels, channels = maps.shape
    sums, products = np.zeros(channels), np.zeros(channels)
    first, second = np.empty(channels, np.float32), np.empty(channels, np.float32)
    centre = statistics[0].astype(np.float32)
    for block in range(0, pixels, BLOCK):
        first[:], second[:] = 0, 0
        for i in range(block, min(pixels, block + BLOCK)):
            for c in range(channels):
                bits = gradient[i, c]
                passed[i, c] = bits if out[i, c] else np.uint16(0)
            for c in range(channels):  # a loop of its own: of more arrays at once the compiler makes no vectors
                value = widened(passed[i, c])
                first[c] += value
                second[c] += value * (widened(maps[i, c]) - centre[c])
        for c in range(channels):
            sums[c] += first[c]
            products[c] += second[c]
    of_passed, of_maps = np.empty(channels, np.float32), np.empty(channels, np.float32)
    constant = np.empty(channels, np.float32)
    for c in range(channels):
        mean, inverse = statistics[0, c], statistics[1, c]
        to_weight[c], to_bias[c] = products[c] * inverse, sums[c]
        of_passed[c] = weight[c] * inverse
        slope = -weight[c] * inverse**3 * products[c] / pixels
        of_maps[c] = slope
        constant[c] = -weight[c] * inverse * sums[c] / pixels - slope * mean
    for i in range(pixels):
        for c in range(channels):
            value = of_passed[c] * widened(passed[i, c]) + of_maps[c] * widened(maps[i, c]) + constant[c]
            to_maps[i, c] = rounded(value)
