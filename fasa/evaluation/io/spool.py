"""Columns that grow on disk, chunk by chunk, until they are written as one file: memory stays bounded.

The parts lie in files without a name beside the target, so that a killed process leaves nothing of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.io.columns import Column

_BLOCK = 1 << 22  # bytes


class Spool:
    """Named columns in temporary files beside ``target``."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._files: dict[str, BinaryIO] = {}
        self._layout: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}

    def append(self, name: str, array: np.ndarray) -> None:
        """Add rows to column ``name``, of the dtype and row shape that its first rows had.

        Raises:
            UserError: the folder cannot be written or the disk is full.
        """
        try:
            if name not in self._files:
                self._target.parent.mkdir(parents=True, exist_ok=True)
                folder, prefix = self._target.parent, f".{self._target.name}."
                self._files[name] = tempfile.TemporaryFile(dir=folder, prefix=prefix)  # noqa: SIM115
                self._layout[name] = array.dtype, array.shape[1:]
            self._files[name].write(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        except OSError as error:
            raise self._unwritable(error) from error

    def fill(self, name: str, rows: int, value: Any, dtype: Any, shape: tuple[int, ...] = ()) -> None:
        """Add ``rows`` rows of one value, without holding them all."""
        for row in range(0, rows, 1 << 16):
            self.append(name, np.full((min(1 << 16, rows - row), *shape), value, dtype))

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def column(self, name: str) -> Column:
        """Column ``name`` as a whole, to be written once."""
        dtype, shape = self._layout[name]
        row = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        return Column(dtype, (self._files[name].tell() // row, *shape), self._blocks(self._files[name]))

    def close(self) -> None:
        """Let go of everything."""
        for file in self._files.values():
            with suppress(OSError):  # what a full disk did not take is not needed any more
                file.close()
        self._files.clear()

    def _blocks(self, file: BinaryIO) -> Iterator[bytes]:
        try:
            file.seek(0)
            while block := file.read(_BLOCK):
                yield block
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"{self._target} cannot be written ({error.strerror}): free some space or choose another folder."
        )
