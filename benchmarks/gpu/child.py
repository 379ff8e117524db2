"""The process of a part: whatever it raises is one sentence in the lines, with its traceback in the log.

python -m benchmarks.gpu.child OUT SCALE PART WORK [ARGUMENT …] [--rehearse]
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path

from benchmarks.gpu.here import Here
from fasa.errors import UserError

DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


def main() -> int:
    """0: it ran to its end; 1: it did not, and why is written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    for name in ("scale", "part", "work"):
        parser.add_argument(name)
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    here = Here(options.part, options.out, options.scale, options.rehearse)
    if sys.platform == "linux":  # a killed check leaves nothing on the GPU
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if options.rehearse:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    module, _, function = options.work.partition(":")
    try:
        work = getattr(importlib.import_module(f"benchmarks.gpu.{module}"), function)
        work(here, *options.arguments)
    except UserError as error:
        here.fail(str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        first = (str(error).splitlines() or ["no words"])[0]
        here.fail(f"{type(error).__name__}: {first}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
