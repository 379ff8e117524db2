"""The processes of one training: torchrun's, started from inside, one for each GPU that was granted."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from fasa.errors import UserError
from fasa.evaluation.arrays import cores
from fasa.tasks.termination import GO_ON, Terminated

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
PATIENCE = timedelta(minutes=30)  # that processes wait for each other: one may read annotations or write a checkpoint
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
# What a process says of a neighbour that is gone; which of them tells first is chance.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")
# Told by every process, and of no use: mmengine's choice of how data workers start, and of one thread each.
IDLE = ("Multi-processing start method", "Setting MKL_NUM_THREADS", "Setting OMP_NUM_THREADS", "`broadcast_buffers` is")


def processes_for(devices: int) -> int:
    """Processes of a training that wants ``devices``: one for each GPU, or core, of which so many are there.

    They share the devices' work evenly, so their number divides ``devices``.
    """
    granted = torch.cuda.device_count() if torch.cuda.is_available() else cores()
    return max(n for n in range(1, devices + 1) if devices % n == 0 and n <= max(1, granted))


def launch(count: int, work: Callable[..., None], *arguments: Any) -> None:
    """Run ``work(*arguments)``, a function of a module, in ``count`` processes that form a process group.

    They end together: with this process, with a signal to it, and when one of them fails.

    Raises:
        UserError: one raised it, or was killed.
        RuntimeError: one raised anything else; its traceback is printed.
    """
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # told in one sentence below
    with TemporaryDirectory(prefix="fasa_") as logs, _signals_restored():
        config = LaunchConfig(  # what `torchrun --standalone` makes
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            elastic_launch(config, _process)(os.getpid(), work, arguments)
        except SignalException as error:
            if error.sigval == signal.SIGINT:
                raise KeyboardInterrupt from error
            raise SystemExit(128 + error.sigval) from error
        except ChildFailedError as error:
            if error.get_first_failure()[1].exitcode == -signal.SIGTERM:  # said to all at once, and a child was first
                raise Terminated from error
            raise _told(*error.get_first_failure(), count) from error


def _process(parent: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """What one process does; torchrun has put its rank into the environment."""
    if sys.platform == "linux":  # a killed parent cannot stop its children, and they would write on without its lease
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    for words in IDLE:
        warnings.filterwarnings("ignore", message=words)
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        work(*arguments)
    except RuntimeError as error:
        if any(words in str(error) for words in LOST):
            raise UserError(f"a process of this training ended before the others; {GO_ON}.") from error
        raise
    dist.destroy_process_group()


def _told(rank: int, failure: ProcessFailure, count: int) -> Exception:
    if failure.exitcode < 0:
        return UserError(f"process {rank} of {count} was ended by {failure.signal_name()}; {GO_ON}.")
    message = failure.message
    text = message["message"] if isinstance(message, dict) else message
    kind, _, sentence = text.partition(": ")
    if kind == UserError.__name__:
        return UserError(sentence)
    if isinstance(message, dict):
        print(message["extraInfo"]["py_callstack"], file=sys.stderr)
    return RuntimeError(f"process {rank} of {count}: {text}")


@contextmanager
def _signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
