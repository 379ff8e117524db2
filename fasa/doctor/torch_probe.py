"""Run by itself, `python -m fasa.doctor.torch_probe`: what torch says of this machine, as one line of JSON.

With the argument `operators` mmcv's compiled operators are loaded, too. A process of its own: loading torch takes
seconds, and a broken one can take its process with it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

BROKEN = (ImportError, OSError, RuntimeError)  # what a build that does not fit raises: absent symbols, no library


def look(operators: bool) -> dict[str, Any]:
    """Torch's version, its CUDA, the GPUs that it sees, or why it sees none; mmcv's operators if asked for."""
    try:
        import torch
    except BROKEN as error:
        return {"error": _first_line(error)}
    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda or torch.version.hip}
    found |= {"unseen": "", "devices": []}
    if found["cuda"]:
        found["architectures"] = torch.cuda.get_arch_list()
        try:
            torch.cuda.init()
            found["devices"] = [_device(torch, number) for number in range(torch.cuda.device_count())]
        except BROKEN as error:
            found["unseen"] = _first_line(error)
    if operators:
        found["operators"] = _operators()
    return found


def _device(torch: Any, number: int) -> dict[str, Any]:
    free, total = torch.cuda.mem_get_info(number)
    capability = torch.cuda.get_device_capability(number)
    return {"name": torch.cuda.get_device_name(number), "total": total, "free": free, "capability": capability}


def _operators() -> dict[str, str]:
    try:
        from mmcv.ops import get_compiling_cuda_version
    except BROKEN as error:
        return {"error": _first_line(error)}
    return {"cuda": get_compiling_cuda_version()}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


if __name__ == "__main__":
    print(json.dumps(look("operators" in sys.argv[1:])))
