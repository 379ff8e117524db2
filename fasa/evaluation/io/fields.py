"""One field of one entry, checked: a value of the right kind, or a sentence that names entry, field and fix.

These are for what the fast typed parser does not accept as it is; they accept what Python's json and the official tools
would compute with (3.0 for an id), and refuse what would fail there or silently go wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from fasa.errors import UserError

LARGEST_ID = 2**63 - 1
LARGEST_SIDE = 2**31 - 1
_SHOWN = 40  # characters of a wrong value that a sentence repeats


def wrong(where: str, field: str, value: Any, fix: str) -> UserError:
    """The error of a field with a wrong value; ``fix`` says what belongs there."""
    shown = " ".join(repr(value).split())  # an array's has lines
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "…"
    return UserError(f'{where} has {shown} for its "{field}": {fix}.')


def record(value: Any, where: str) -> Mapping[str, Any]:
    """``value`` if it is a JSON object."""
    if not isinstance(value, Mapping):
        raise UserError(f"{where} is {type(value).__name__} where an object like {{…}} belongs: write one.")
    return value


def present(entry: Mapping[str, Any], field: str, where: str) -> Any:
    """``entry[field]``, which must be there."""
    if field not in entry:
        raise UserError(f'{where} has no "{field}": add it.')
    return entry[field]


def whole(value: Any, where: str, field: str, lowest: int = -LARGEST_ID, highest: int = LARGEST_ID) -> int:
    """A whole number between ``lowest`` and ``highest``; 3.0 is one, true is none."""
    number = _integer(value)
    if number is None or not lowest <= number <= highest:
        bound = "" if lowest < 0 else f" from {lowest} on" if highest == LARGEST_ID else f" from {lowest} to {highest}"
        raise wrong(where, field, value, f"write a whole number{bound}")
    return number


def finite(value: Any, where: str, field: str) -> float:
    """A finite number as a float."""
    number = _float(value)
    if number is None or not math.isfinite(number):
        raise wrong(where, field, value, "write a finite number")
    return number


def box(value: Any, where: str, field: str = "bbox") -> tuple[float, float, float, float]:
    """Four finite numbers x, y, width, height, the sides not negative."""
    found = [_float(v) for v in value] if isinstance(value, list | tuple | np.ndarray) else []
    numbers = [number for number in found if number is not None and math.isfinite(number)]
    if not len(found) == len(numbers) == 4 or min(numbers[2:]) < 0:
        raise wrong(where, field, value, "write four finite numbers x, y, width, height, the last two not negative")
    x, y, w, h = numbers
    return x, y, w, h


def flag(value: Any, where: str, field: str) -> bool:
    """0, 1, true or false (any other number is true, as in Python)."""
    if not isinstance(value, Real | np.bool_):
        raise wrong(where, field, value, "write 0 or 1")
    return bool(value)


def size(value: Any, where: str, field: str = "size") -> tuple[int, int]:
    """Height and width in pixels, both from 1."""
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != 2:
        raise wrong(where, field, value, "write [height, width]")
    height, width = (whole(v, where, field, lowest=1, highest=LARGEST_SIDE) for v in value)
    return height, width


def _integer(value: Any) -> int | None:
    """``value`` as an int; None if it is no whole number."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, Integral):
        return int(value)
    number = _float(value)
    return int(value) if number is not None and math.isfinite(number) and number == int(number) else None


def _float(value: Any) -> float | None:
    """``value`` as a float (infinite if it is too large for one); None if it is no number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
