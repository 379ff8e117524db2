"""FASA (ICCV 2021): the method as a library, and the reproduction of its paper."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["FASA", "fasa_paper", "fasa_released"]


def __getattr__(name: str) -> Any:
    """Load the method on first use, so that planning and scoring never import torch."""
    if name in __all__:
        import fasa.method

        return getattr(fasa.method, name)
    raise AttributeError(f"module 'fasa' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
