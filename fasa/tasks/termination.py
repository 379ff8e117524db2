"""SIGTERM: what Slurm says at a time-out, a pre-emption or ``scancel``, some 30 s before it kills."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

CODE = 128 + signal.SIGTERM
STDERR = 2
GO_ON = "train again, it goes on at its last checkpoint"


class Terminated(SystemExit):
    """The process was told to stop, and what it did is saved."""

    def __init__(self) -> None:
        super().__init__(CODE)


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Give a question, whether SIGTERM has come, to a loop that then saves and raises :class:`Terminated`.

    A second SIGTERM ends the process at once, which a checkpoint amid its writing survives, too.
    """
    told = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _say("told to stop (SIGTERM): ends the epoch, saves and leaves; a second one ends it at once")

    with _handled(note):
        yield lambda: told


@contextmanager
def at_once() -> Iterator[None]:
    """End the process at SIGTERM with a sentence and the code 143, for work that has nothing to save in between.

    Nothing is unwound: files are whole or absent at any moment, and a handler that raises could be lost in a callback.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        _say(f"told to stop (SIGTERM); {GO_ON}")
        os._exit(CODE)

    with _handled(leave):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(words: str) -> None:
    os.write(STDERR, f"fasa: {words}.\n".encode())  # print() may be interrupted amid itself
