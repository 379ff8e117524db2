"""``torch.cuda.CUDAGraph`` and ``torch.cuda.graph``."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from pretended_cuda import recording
from pretended_cuda.errors import CaptureError, DeviceError
from pretended_cuda.generators import DEFAULT, OF_THE_DEVICE
from pretended_cuda.recording import Recording
from pretended_cuda.streams import ORDER, Stream, StreamContext, current_stream, synchronize

COUNTS: Counter[str] = Counter()  # captures, replays


class CUDAGraph:
    """A recording, and the stream that it was captured on."""

    def __init__(self, keep_graph: bool = False) -> None:
        self.generators = {DEFAULT._cdata}
        self.recording: Recording | None = None
        self.stream = -1

    def register_generator_state(self, generator: torch.Generator) -> None:
        if generator._cdata not in OF_THE_DEVICE:
            raise DeviceError("register_generator_state: a generator of the CPU")
        self.generators.add(generator._cdata)

    def replay(self) -> None:
        if self.recording is None:
            raise CaptureError("replay of a graph that was never captured")
        COUNTS["replays"] += 1
        for buffer, name in self.recording.reads.items():
            ORDER.read(buffer, name)
        for buffer, name in self.recording.writes.items():
            ORDER.written(buffer, name)
        if self.recording.multiplies:  # cuBLAS has one workspace for all that is captured on a stream
            ORDER.written(("workspace", self.stream), f"cuBLAS's workspace of captures on stream {self.stream}")
        self.recording.replay()


class graph:
    """``torch.cuda.graph``: a context whose operations are captured."""

    default_capture_stream: Stream | None = None

    def __init__(self, cuda_graph: CUDAGraph, pool: Any = None, stream: Stream | None = None, **_: Any) -> None:
        if stream is None and graph.default_capture_stream is None:
            graph.default_capture_stream = Stream()
        self.graph = cuda_graph
        self.context = StreamContext(stream or graph.default_capture_stream)

    def __enter__(self) -> None:
        synchronize()
        self.context.__enter__()
        if (number := current_stream().number) == 0:
            self.context.__exit__()
            raise CaptureError("CUDA graphs must be captured on a non-default stream")
        COUNTS["captures"] += 1
        self.graph.stream = number
        self.states = {generator: generator.get_state() for generator in OF_THE_DEVICE.values()}
        recording.begin(Recording(self.graph.generators))

    def __exit__(self, failed: Any, *_: Any) -> None:
        made = recording.end()
        self.context.__exit__()
        for generator, state in self.states.items():
            generator.set_state(state)
        made.undo()
        self.graph.recording = None if failed else made


def reset() -> None:
    """Count from 0, and forget the stream that torch captures on."""
    COUNTS.clear()
    graph.default_capture_stream = None
