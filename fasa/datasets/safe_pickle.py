"""Read a pickle of plain containers and numpy arrays, and refuse every other: a foreign pickle can run any code."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from fasa.errors import UserError

# numpy's array rebuilder, taken from an array because its module was renamed in numpy 2.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def load_arrays(content: bytes, origin: str) -> Any:
    """Unpickle ``content``, where Python 2 strings become latin-1 text and only numpy arrays may be rebuilt.

    Raises:
        UserError: the pickle is damaged or asks for anything but a numpy array; the message names ``origin``.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise nearly any exception
        raise UserError(
            f"{origin} is not a pickle of plain numpy arrays ({error}): get the official file again."
        ) from error
