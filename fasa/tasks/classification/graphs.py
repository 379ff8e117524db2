"""A training step as a CUDA graph: one launch instead of some four hundred."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

EAGER_STEPS = 3  # let cuDNN choose its kernels and SGD make its momentum buffers before anything is captured


class GraphedStep:
    """Runs ``step(indices)``, captured once for each batch size and each set of constants it was captured with.

    A graph holds the learning rate and every Python branch of its capture, so :meth:`__call__` captures anew when the
    optimiser's rate changes; tensors that change in place (class weights, probabilities, epoch) need no new capture.

    Args:
        step: launches kernels only: no synchronisation, static shapes, random numbers from ``generator`` alone.
        generator: the CUDA generator; replays advance it as running the step would.
        rate: the constant, beside the batch size, that a capture depends on.
    """

    def __init__(self, step: Callable[[Tensor], None], generator: torch.Generator, rate: Callable[[], float]) -> None:
        self.step, self.generator, self.rate = step, generator, rate
        self.graphs: dict[tuple[int, float], tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self.warm = 0

    def __call__(self, indices: Tensor) -> None:
        """Run the step on training images ``indices [n]``, on the current stream."""
        if self.warm < EAGER_STEPS:
            self.warm += 1
            self.step(indices)
        else:
            graph, static = self._graph(indices)
            static.copy_(indices)
            graph.replay()

    def _graph(self, indices: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        key = (len(indices), self.rate())
        if key not in self.graphs:
            self.graphs = {k: v for k, v in self.graphs.items() if k[1] == key[1]}  # rates never come back
            graph, static = torch.cuda.CUDAGraph(), indices.clone()
            graph.register_generator_state(self.generator)
            with torch.cuda.graph(graph):
                self.step(static)
            self.graphs[key] = graph, static
        return self.graphs[key]
