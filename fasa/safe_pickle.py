"""Pickles of others: numpy arrays and plain values are read, and all that runs code, crashes or bloats is refused.

Python calls what a pickle names. numpy's arrays may be named, but not as numpy rebuilds them: a dtype of objects makes
pointers of a file's bytes. So stand-ins take their names, and make plain numbers or nothing.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Callable, Container, Mapping
from typing import IO, Any

import numpy as np

from fasa.errors import UserError

DEEPEST = 20  # tuples in each other; Python's hash of a tuple of a million crashes
INSTRUCTIONS = {
    *("PROTO", "FRAME", "MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "INT", "LONG", "FLOAT", "BINFLOAT", "BININT"),
    *("BININT1", "BININT2", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE"),
    *("SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "EMPTY_LIST", "LIST", "APPEND"),
    *("APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET", "BINPERSID"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD"),
}
Makers = Mapping[str, Callable[..., Any]]  # what stands for each name that a pickle may call


class Dtype:
    """Stands for ``numpy.dtype``: numbers and truth values alone, no objects, no fields."""

    def __init__(self, kind: str, *_: Any) -> None:
        if not re.fullmatch(r"[biuf][1248]", kind):
            raise pickle.UnpicklingError("an array is not of numbers")
        self.kind, self.order = kind, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *rest = state
        if order not in ("<", ">", "|", "=") or rest[:3] != [None, None, None] or any(rest[5:]):
            raise pickle.UnpicklingError("an array is not of plain numbers")
        self.order = "=" if order == "|" else order

    def real(self) -> np.dtype[Any]:
        """What it stands for."""
        return np.dtype(self.kind).newbyteorder(self.order)  # type: ignore[arg-type]


class Array(np.ndarray):
    """Stands for ``numpy.ndarray`` and its rebuilder: an array of the bytes that its pickle holds, and no more."""

    def __new__(cls, *_: Any) -> Array:
        return super().__new__(cls, (0,), "u1")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, columns_first, content = state
        if isinstance(content, str):  # of Python 2
            content = content.encode("latin1")
        if not isinstance(dtype, Dtype) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array is not of plain numbers")
        whole: np.ndarray = np.ndarray(shape, dtype.real(), content, order="F" if columns_first else "C")
        if whole.nbytes != len(content):
            raise pickle.UnpicklingError("an array is not as large as its shape")
        super().__setstate__((1, whole.shape, whole.dtype, bool(columns_first), content))  # type: ignore[arg-type]

    def __reduce__(self) -> Any:  # saved again, it is numpy's
        return self.view(np.ndarray).__reduce__()


def scalar(dtype: Dtype, content: bytes | str) -> np.generic:
    """Stands for numpy's maker of a single number."""
    raw = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(raw, dtype.real(), count=1)[0]


ARRAYS: Makers = {
    "numpy.core.multiarray._reconstruct": Array,
    "numpy._core.multiarray._reconstruct": Array,
    "numpy.ndarray": Array,
    "numpy.dtype": Dtype,
}
SCALARS: Makers = {f"numpy.{core}.multiarray.scalar": scalar for core in ("core", "_core")}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in ARRAYS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return ARRAYS[f"{module}.{name}"]


def load_arrays(content: bytes, origin: str) -> Any:
    """Unpickle ``content``, where Python 2 strings become latin-1 text and only numpy arrays may be rebuilt.

    Raises:
        UserError: the pickle is damaged or asks for anything but a numpy array; the message names ``origin``.
    """
    try:
        check(io.BytesIO(content), ARRAYS)
        return _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise nearly any exception
        raise UserError(
            f"{origin} is not a pickle of plain numpy arrays ({str(error)[:100]}): get the official file again."
        ) from error


def check(stream: IO[bytes], names: Container[str]) -> None:
    """Go through the pickle in ``stream`` to its end without making anything of it.

    Raises:
        UnpicklingError: it asks for what is not in ``names``, has an instruction that no plain pickle has, a place in
            its memory that only wastes it, or tuples in each other that are too deep to be hashed.
    """
    depths: list[int] = []  # of tuples in each other, of all that is on the stack
    marks: list[int] = []
    memo: dict[int, int] = {}
    instruction: tuple[pickletools.OpcodeInfo, Any, Any]
    for number, instruction in enumerate(pickletools.genops(stream)):
        opcode, argument, _ = instruction
        name = opcode.name
        if name not in INSTRUCTIONS:
            raise pickle.UnpicklingError(f"it has the instruction {name}")
        if name == "GLOBAL" and argument.replace(" ", ".") not in names:
            raise pickle.UnpicklingError(f"it asks for {argument.replace(' ', '.')}")
        if name == "MARK":
            marks.append(len(depths))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            place = len(memo) if argument is None else argument
            if place > number:
                raise pickle.UnpicklingError(f"it has the place {place} in its memory")
            memo[place] = depths[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            depths.append(memo[argument])
        else:
            before = opcode.stack_before
            marked = pickletools.markobject in before
            first = marks.pop() - before.index(pickletools.markobject) if marked else len(depths) - len(before)
            if first < 0:
                raise pickle.UnpicklingError("it takes what is not there")
            depth = 1 + max(depths[first:], default=0) if "TUPLE" in name else 0
            if depth > DEEPEST:
                raise pickle.UnpicklingError("its tuples are too deep in each other")
            del depths[first:]
            depths += [depth] * len(opcode.stack_after)
