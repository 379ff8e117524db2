"""numba's compiler, with a cache on disk that may fail: what cannot be read or written there is compiled again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """``function`` as machine code that runs without Python's lock."""
    dispatcher = numba.njit(nogil=True)(function)
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # no folder can be written to
        return dispatcher
    dispatcher._cache = _Cache(dispatcher._cache)
    return dispatcher


class _Cache:
    """numba's cache of one function; a full disk or a damaged file is no reason not to go on."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        """What an earlier process compiled, None if there is none to be had."""
        try:
            return self._cache.load_overload(*arguments)
        except Exception:  # a damaged index or code file: unpickling can raise nearly anything
            return None

    def save_overload(self, *arguments: Any) -> None:
        """Keep what was compiled for the next process, if that can be."""
        with suppress(Exception):  # likewise: it reads the index first
            self._cache.save_overload(*arguments)
