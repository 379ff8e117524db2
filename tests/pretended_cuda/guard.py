"""The C++ part, ``guard.cpp``: compiled once for each version of torch and loaded before torch is."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("guard.cpp")


def reason_to_skip() -> str:
    """Why nothing can be pretended here; empty where it can."""
    import torch

    if torch.version.cuda or torch.version.hip:
        return "torch was built with CUDA, so no device needs to be pretended"
    return "" if shutil.which("g++") else "the pretended device is compiled with g++, which is not there"


def library() -> Path:
    """The compiled guard, made where it is missing; of several processes that want it, one makes it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fasa-pretended-cuda"
    folder = cache / f"torch-{importlib.metadata.version('torch')}"
    path = folder / f"guard-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}.so"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            made = path.with_suffix(".making")
            include = _torch_folder() / "include"
            options = ["-shared", "-fPIC", "-std=c++20", "-w", f"-I{include}", "-o", str(made)]
            subprocess.run(["g++", *options, str(SOURCE)], check=True)
            made.replace(path)
    return path


def load() -> None:
    """Load the guard. torch looks for it once, so it must not be imported yet."""
    assert "torch" not in sys.modules, "torch is imported already; it has looked for CUDA and found none"
    for name in ("libc10.so", "libtorch_cpu.so"):  # which the guard registers itself with
        ctypes.CDLL(str(_torch_folder() / "lib" / name), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(library()), ctypes.RTLD_GLOBAL)


def _torch_folder() -> Path:
    spec = importlib.util.find_spec("torch")  # which does not import it
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
