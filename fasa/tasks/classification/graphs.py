"""A training step as a CUDA graph: one launch instead of some four hundred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

# Of each batch size, before it is captured: cuDNN searches for its kernels, which a capture forbids, and SGD makes its
# momentum buffers.
EAGER_STEPS = 3


class GraphedStep:
    """Runs ``step(indices)``, captured once for each batch size and each set of constants it was captured with.

    A graph holds the learning rate and every Python branch of its capture, so :meth:`__call__` captures anew when the
    optimiser's rate changes; tensors that change in place (class weights, probabilities, epoch) need no new capture.
    It captures on the stream that it is called on: cuBLAS has one workspace for each stream of a capture, and runs that
    share one overwrite each other's.

    Args:
        step: launches kernels only: no synchronisation, static shapes, random numbers from ``generator`` alone.
        generator: the CUDA generator; replays advance it as running the step would.
        rate: the constant, beside the batch size, that a capture depends on.
    """

    def __init__(self, step: Callable[[Tensor], None], generator: torch.Generator, rate: Callable[[], float]) -> None:
        self.step, self.generator, self.rate = step, generator, rate
        self.graphs: dict[tuple[int, float], tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self.eager: Counter[int] = Counter()  # steps of each batch size

    def __call__(self, indices: Tensor) -> None:
        """Run the step on training images ``indices [n]``, on the current stream, which is not the default one."""
        if self.eager[len(indices)] < EAGER_STEPS:
            self.eager[len(indices)] += 1
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
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                self.step(static)
            self.graphs[key] = graph, static
        return self.graphs[key]
