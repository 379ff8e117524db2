"""Work cut into ranges for threads; the kernels that run in them let go of Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(work: Callable[[int, int], Result], items: int, smallest: int = 2048) -> list[Result]:
    """``work(lo, hi)`` for ranges of ``smallest`` or more items that cover ``range(items)``, in threads, in order."""
    threads = cores()
    if threads == 1 or items <= smallest:
        return [work(0, items)]
    step = max(smallest, -(-items // (threads * 8)))  # eight ranges a thread, so that a slow one is made up for
    ranges = [(lo, min(lo + step, items)) for lo in range(0, items, step)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda r: work(*r), ranges))
