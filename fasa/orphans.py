"""No orphans: a process that ends with the one that started it, however that ends; and whether one still runs."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of Linux


def end_with(parent: int) -> None:
    """Have the system kill this process at the end of ``parent``, which started it; where that is over, end now.

    Elsewhere than on Linux it does the latter alone.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine, anybody's, still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
