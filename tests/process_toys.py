"""What the processes of test_processes.py do: functions of a module that loads fast, as each process imports it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
import torch.distributed as dist

from fasa.errors import UserError


def add_up(folder: str) -> None:
    """Write the sum over ranks of rank + 1."""
    total = torch.tensor([dist.get_rank() + 1])
    dist.all_reduce(total)
    (Path(folder) / f"{dist.get_rank()}.txt").write_text(str(total.item()))


def fail(kind: str) -> None:
    """Rank 1 fails, and rank 0 waits for it."""
    if dist.get_rank() == 1:
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise UserError("the rate: is too high.") if kind == "user" else ZeroDivisionError("oh")
    dist.all_reduce(torch.zeros(1))


def sleep(folder: str) -> None:
    """Leave the process's number and wait to be ended."""
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(600)
