"""Generators of the device: as on CUDA a seed and a count of draws, in 16 bytes, where a CPU's have 5056."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import torch
from pretended_cuda.streams import CUDA

CpuGenerator = torch.Generator
SIZE = 16


class CudaGenerator(CpuGenerator):
    """A generator that says it is on cuda:0. Each operation draws from a twister seeded by seed and count."""

    def __new__(cls, device: Any = CUDA) -> CudaGenerator:
        made = super().__new__(cls, "cpu")
        made.manual_seed(0)
        OF_THE_DEVICE[made._cdata] = made
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    def manual_seed(self, seed: int) -> CudaGenerator:
        self.counted, self.draws = seed, 0
        return self

    def initial_seed(self) -> int:
        return self.counted

    def get_state(self) -> torch.Tensor:
        return torch.tensor(list(struct.pack("<Qq", self.counted % 2**64, self.draws)), dtype=torch.uint8)

    def set_state(self, state: torch.Tensor) -> CudaGenerator:  # type: ignore[override]
        if state.device.type != "cpu" or state.dtype != torch.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if state.numel() != SIZE:
            raise RuntimeError("RNG state is wrong size")
        self.counted, self.draws = struct.unpack("<Qq", bytes(state.tolist()))
        return self

    def next_seed(self) -> int:
        """Of the twister that the next operation draws from."""
        self.draws += 1
        return (self.counted * 0x9E3779B97F4A7C15 + self.draws * 0xBF58476D1CE4E5B9) % 2**63


OF_THE_DEVICE: dict[int, CudaGenerator] = {}
DEFAULT = CudaGenerator()


class Generator(CpuGenerator):
    """``torch.Generator``: of either device."""

    def __new__(cls, device: Any = "cpu") -> CpuGenerator:  # type: ignore[misc]
        return CudaGenerator() if torch.device(device).type == "cuda" else CpuGenerator(device)


def drawing(generator: CudaGenerator, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, an operation on the CPU, drawing from ``generator``; of the default one it is not told."""
    if generator is not DEFAULT:

        def explicit(*args: Any, **kwargs: Any) -> Any:
            CpuGenerator.manual_seed(generator, generator.next_seed())
            return function(*args, **kwargs)

        return explicit

    def by_default(*args: Any, **kwargs: Any) -> Any:
        state = torch.default_generator.get_state()
        torch.default_generator.manual_seed(DEFAULT.next_seed())
        try:
            return function(*args, **kwargs)
        finally:
            torch.default_generator.set_state(state)

    return by_default
