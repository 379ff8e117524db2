"""The evaluator's loops: the compiled extension's, or numba's where it was not built; both give the same bits."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from fasa.errors import UserError

VERSION = 2  # of the extension: one more than before whenever a kernel is added or takes other arguments


def _load() -> Any:
    """The extension; ``fasa.evaluation.portable`` without it, or if FASA_KERNELS says so.

    Raises:
        UserError: the extension was built from other sources, as after an update of an editable installation.
    """
    if os.environ.get("FASA_KERNELS") == "portable":
        return import_module("fasa.evaluation.portable")
    try:
        native = import_module("fasa.evaluation._native")
    except ImportError:  # no compiler, or one built for another Python
        return import_module("fasa.evaluation.portable")
    if getattr(native, "VERSION", None) != VERSION:
        raise UserError(
            f"{native.__file__} was built from other sources than these: install fasa anew, a clone by `make setup` or "
            "`pip install --no-deps --editable .`, or set FASA_KERNELS=portable."
        )
    return native


kernels = _load()
