"""The evaluator's loops: the compiled extension's, or numba's where it was not built; both give the same bits."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any


def _load() -> Any:
    """The extension; ``fasa.evaluation.portable`` without it, or if FASA_KERNELS says so."""
    if os.environ.get("FASA_KERNELS") == "portable":
        return import_module("fasa.evaluation.portable")
    try:
        return import_module("fasa.evaluation._native")
    except ImportError:  # no compiler, or one built for another Python
        return import_module("fasa.evaluation.portable")


kernels = _load()
