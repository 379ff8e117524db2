"""The processes of one training: one for each GPU that was granted, in a process group. They end together."""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed as dist

from fasa.errors import UserError
from fasa.evaluation.arrays import cores
from fasa.orphans import end_with
from fasa.tasks.termination import GO_ON

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
PATIENCE = timedelta(minutes=30)  # that processes wait for each other: one may read annotations or write a checkpoint
LOOK_EVERY = 0.5  # seconds between two looks at whether a signal has come
LEAVING = 30.0  # seconds that a process has to leave the group, once its work is done; then it is ended
GRACE = 2.0  # seconds after one's end in which others may end by themselves, and tell why
HOST = "localhost"
SAID = 4000  # characters of an error: a pipe takes them at once
# What a process says of a neighbour that is gone; which of them tells first is chance.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")
# What torch says of a data worker that ended, and by which signal, if it knows.
WORKER_LOST = re.compile(r"DataLoader worker \(pid.*?\) (?:is killed by signal: (?P<signal>[^.]*)|exited unexpectedly)")
# Told by every process, and of no use: mmengine's choice of how data workers start, and of one thread each.
IDLE = ("Multi-processing start method", "Setting MKL_NUM_THREADS", "Setting OMP_NUM_THREADS", "`broadcast_buffers` is")


def processes_for(devices: int) -> int:
    """Processes of a training that wants ``devices``: one for each GPU, or core, of which so many are there.

    They share the devices' work evenly, so their number divides ``devices``.
    """
    granted = torch.cuda.device_count() if torch.cuda.is_available() else cores()
    return max(n for n in range(1, devices + 1) if devices % n == 0 and n <= max(1, granted))


class Cause(IntEnum):
    """What ended a process; the first of these is what ended a training."""

    KILLED = 0
    ERROR = 1
    ABORTED = 2  # by itself, or by a library that lost a neighbour
    LOST_NEIGHBOUR = 3


@dataclass(frozen=True)
class Failure:
    """Why a process ended before its work was done; ``traceback`` is empty of what is no bug of ours."""

    cause: Cause
    message: str
    traceback: str = ""


def launch(count: int, work: Callable[..., None], *arguments: Any) -> None:
    """Run ``work(*arguments)``, a function of a module, in ``count`` processes that form a process group.

    They end together: with this process, with a signal to it, and when one of them ends before its work is done. A pipe
    takes the arguments to a process that may be gone before it reads them, so they must be small.

    Raises:
        UserError: one raised it, or was killed.
        RuntimeError: one raised anything else; its traceback is printed.
    """
    store = dist.TCPStore(HOST, 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]  # they meet there
    children: list[tuple[BaseProcess, Connection]] = []
    with _noted() as came:
        try:
            for rank in range(count):
                children.append(_started(rank, count, store.port, work, arguments))
            failures = _awaited(children, came)
            if not (failures or came):
                until = time.monotonic() + LEAVING
                for process, _ in children:
                    process.join(max(0.0, until - time.monotonic()))
        finally:
            for process, _ in children:
                process.kill()
                process.join()
    if came:
        _leave(came[0])
    if failures:
        rank = min(failures, key=lambda rank: failures[rank].cause)
        raise _told(failures[rank], f"process {rank} of {count}")


def _started(
    rank: int, count: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]
) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    receives, sends = context.Pipe(duplex=False)
    process = context.Process(target=_process, args=(os.getpid(), rank, count, port, sends, work, arguments))
    resource_tracker.ensure_running()  # else it starts below, and unblocks what is blocked
    # Ctrl-C reaches all processes of a terminal: this one ends the others, and they say nothing.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    sends.close()
    return process, receives


def _awaited(children: Sequence[tuple[BaseProcess, Connection]], came: Sequence[int]) -> dict[int, Failure]:
    """Why processes failed, by rank; returns when all have told or ended, at a signal, or soon after one that fails."""
    ends: dict[int, Failure | None] = {}
    until = math.inf
    while len(ends) < len(children) and time.monotonic() < until and not came:
        open_ones = [child for rank, child in enumerate(children) if rank not in ends]
        wait([each for process, pipe in open_ones for each in (process.sentinel, pipe)], LOOK_EVERY)
        for rank, (process, pipe) in enumerate(children):
            if rank not in ends and (process.exitcode is not None or pipe.poll()):
                ends[rank] = _end(process, pipe)
        if until == math.inf and any(ends.values()):
            until = time.monotonic() + GRACE
    return {rank: failure for rank, failure in ends.items() if failure}


def _end(process: BaseProcess, pipe: Connection) -> Failure | None:
    """Why a process failed that told so, or ended without a word; None where its work is done."""
    try:
        if pipe.poll():
            return pipe.recv()
    except EOFError:  # its end closed the pipe
        process.join()
    code = process.exitcode or 0
    if code < 0:
        cause = Cause.ABORTED if -code == signal.SIGABRT else Cause.KILLED
        return Failure(cause, f"was ended by {_name(-code)}; {GO_ON}.")
    return Failure(Cause.ABORTED, f"ended with code {code}; {GO_ON}.")


def _process(
    parent: int,
    rank: int,
    count: int,
    port: int,
    pipe: Connection,
    work: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    """What one process does: its work, and to tell how that ended."""
    end_with(parent)
    for words in IDLE:
        warnings.filterwarnings("ignore", message=words)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count), LOCAL_WORLD_SIZE=str(count))
    on_gpu = torch.cuda.is_available()
    try:
        if on_gpu:
            torch.cuda.set_device(rank)
        else:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        store = dist.TCPStore(HOST, port, timeout=PATIENCE)  # type: ignore[attr-defined]
        dist.init_process_group(
            "nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=count, timeout=PATIENCE
        )
        work(*arguments)
    except Exception as error:
        sys.stdout.flush(), sys.stderr.flush()
        pipe.send(_failure(error))
        os._exit(1)  # neither waits for neighbours nor for data workers, which end with it
    sys.stdout.flush(), sys.stderr.flush()
    pipe.send(None)
    dist.destroy_process_group()


def _failure(error: Exception) -> Failure:
    if isinstance(error, UserError):
        return Failure(Cause.ERROR, str(error))
    if isinstance(error, RuntimeError) and any(words in str(error) for words in LOST):
        return Failure(Cause.LOST_NEIGHBOUR, f"lost another, which ended before it; {GO_ON}.")
    place = "".join(traceback.format_exception(error))
    return Failure(Cause.ERROR, f"{type(error).__name__}: {error}"[:SAID], place[-SAID:])


def _told(failure: Failure, name: str) -> Exception:
    if failure.traceback:
        print(failure.traceback, file=sys.stderr)
        return RuntimeError(f"{name}: {failure.message}")
    return UserError(failure.message if failure.cause == Cause.ERROR else f"{name} {failure.message}")


@contextmanager
def lost_workers_told() -> Iterator[None]:
    """Tell in a sentence that a data worker of this process was ended.

    Raises:
        UserError: it was.
    """
    try:
        try:
            yield
        except (EOFError, ConnectionError):  # it was ended while it handed a batch over
            time.sleep(GRACE)  # torch's handler of SIGCHLD raises what is told below
            raise
    except RuntimeError as error:
        if not WORKER_LOST.search(str(error)):
            raise
        of = f" of process {dist.get_rank()} of {dist.get_world_size()}" if dist.is_initialized() else ""
        raise UserError(f"a data worker{of} was ended{_by_signal(error)}; {GO_ON}.") from error


def _by_signal(error: RuntimeError) -> str:
    """Which signal ended a data worker, as torch says or else its exit code, to be had where the error came from."""
    found = WORKER_LOST.search(str(error))
    said = found["signal"] if found else None
    numbers = [number for number in signal.Signals if signal.strsignal(number) == said]
    for frame, _ in traceback.walk_tb(error.__traceback__):
        workers = getattr(frame.f_locals.get("self"), "_workers", ())
        numbers += [-worker.exitcode for worker in workers if (worker.exitcode or 0) < 0]
    return f" by {_name(numbers[0])}" if numbers else ""


def _name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


@contextmanager
def _noted() -> Iterator[list[int]]:
    """Note the signals that come, but those that are ignored: a handler that raises could be lost in a callback."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heeded = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in heeded:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _leave(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    print(f"fasa: told to stop ({signal.Signals(number).name}); {GO_ON}.", file=sys.stderr)
    raise SystemExit(128 + number)
