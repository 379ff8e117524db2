"""Streams, events, and who has waited for whom: by vector clocks two streams on one buffer are told.

Operations run one after the other as they are launched. What is checked is that a real device would have had to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import torch
from pretended_cuda.errors import CaptureError, StreamError
from pretended_cuda.recording import recording

CUDA = torch.device("cuda", 0)
HOST = -1


class Stream:
    """``torch.cuda.Stream``."""

    made = 0

    def __init__(self, device: Any = None, priority: int = 0, number: int | None = None) -> None:
        if number is None:
            Stream.made += 1
        self.number = Stream.made if number is None else number
        self.device = CUDA

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.number == self.number

    def __hash__(self) -> int:
        return self.number

    def synchronize(self) -> None:
        ORDER.host_waits(self.number)

    def wait_stream(self, other: Stream) -> None:
        self.wait_event(other.record_event())

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        ORDER.learn(self.number, event.known)


class Event:
    """``torch.cuda.Event``; it takes no time."""

    def __init__(self, enable_timing: bool = False, **_: Any) -> None:
        self.known: dict[int, int] = {}

    def record(self, stream: Stream | None = None) -> None:
        self.known = ORDER.seen_by((stream or current_stream()).number)

    def wait(self, stream: Stream | None = None) -> None:
        (stream or current_stream()).wait_event(self)

    def synchronize(self) -> None:
        ORDER.learn(HOST, self.known)

    def query(self) -> bool:
        return True

    def elapsed_time(self, end: Event) -> float:
        return 1.0


class StreamContext:
    """``torch.cuda.stream``; None changes nothing."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            _current.append(self.stream)

    def __exit__(self, *_: Any) -> None:
        if self.stream is not None:
            _current.pop()


@dataclass
class Accesses:
    """The last write of a buffer and what read it since: stream, time and name of an operation."""

    write: tuple[int, int, str] = (HOST, 0, "nothing")
    reads: dict[int, tuple[int, str]] = field(default_factory=dict)


class Order:
    """Who has waited for whom, and what each buffer was touched by."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.time = 0
        self.known: dict[int, dict[int, int]] = defaultdict(dict)  # of each stream and the host: what is over
        self.buffers: dict[Hashable, Accesses] = defaultdict(Accesses)

    def seen_by(self, stream: int) -> dict[int, int]:
        """All that is over when ``stream`` has done what it was told so far."""
        known = dict(self.known[HOST])
        for other, time in self.known[stream].items():
            known[other] = max(time, known.get(other, 0))
        return known | {stream: self.time}

    def learn(self, who: int, known: dict[int, int]) -> None:
        mine = self.known[who]
        for stream, time in known.items():
            mine[stream] = max(time, mine.get(stream, 0))

    def host_waits(self, stream: int) -> None:
        self.learn(HOST, self.seen_by(stream))

    def made(self, buffer: Hashable, name: str) -> None:
        """New memory: what its address was before is nobody's business."""
        self.time += 1
        self.buffers[buffer] = Accesses((current_stream().number, self.time, name))

    def read(self, buffer: Hashable, name: str) -> None:
        accesses, stream = self.buffers[buffer], current_stream().number
        self._check(stream, *accesses.write, name, "written")
        self.time += 1
        accesses.reads[stream] = self.time, name

    def written(self, buffer: Hashable, name: str) -> None:
        accesses, stream = self.buffers[buffer], current_stream().number
        self._check(stream, *accesses.write, name, "written")
        for reader, (time, reading) in accesses.reads.items():
            self._check(stream, reader, time, reading, name, "read")
        self.time += 1
        self.buffers[buffer] = Accesses((stream, self.time, name))

    def _check(self, stream: int, other: int, time: int, past: str, name: str, how: str) -> None:
        if other in (stream, HOST) or max(self.known[HOST].get(other, 0), self.known[stream].get(other, 0)) >= time:
            return
        raise StreamError(f"stream {stream} ({name}) has not waited for stream {other}, which has {how} it ({past})")


ORDER = Order()
DEFAULT_STREAM = Stream(number=0)
_current = [DEFAULT_STREAM]


def current_stream(device: Any = None) -> Stream:
    """``torch.cuda.current_stream``."""
    return _current[-1]


def synchronize(device: Any = None) -> None:
    """``torch.cuda.synchronize``."""
    if recording():
        raise CaptureError("synchronisation (of the device) while capturing")
    for number in range(Stream.made + 1):
        ORDER.host_waits(number)


def reset() -> None:
    """Forget every buffer and who waited for whom, as at the start of a process."""
    ORDER.forget()
    del _current[1:]
