"""lvis-api 0.5.3, which needs ``np.float``: numpy dropped it in 1.24, and here it exists only while the tool runs."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def lvis_api() -> Iterator[Any]:
    """The module ``lvis`` in the numpy it was written for, silent; nothing of this outlives the block."""
    log, handlers, level = logging.getLogger(), list(logging.getLogger().handlers), logging.root.manager.disable
    np.float = float
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import lvis  # on its first import it configures the root logger

            yield lvis
    finally:
        logging.disable(level)
        log.handlers[:] = handlers
        del np.float
