"""Write a file whole or not at all: a temporary file beside it, flushed to disk, then renamed over it.

A link is followed, so that its target is what changes. A pipe or a device cannot be renamed over: it is written to,
once all that belongs there is known.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from fasa.errors import UserError


def write(path: Path, writer: Callable[[BinaryIO], object]) -> None:
    """Let ``writer`` fill a temporary file, then make it the content of ``path``.

    Raises:
        UserError: the disk is full or the folder cannot be written; the old file is left as it was.
    """
    if "\0" in str(path):
        raise UserError(f"{str(path)!r} has a NUL character, which no path has: choose another name.")
    try:
        if _is_special(path):
            _write_through(path, writer)
        else:
            _replace(Path(os.path.realpath(path)), writer)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): free some space or choose another folder."
        ) from error


def _is_special(path: Path) -> bool:
    """Whether ``path`` is there, or links to what is there, and is no regular file."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def _replace(path: Path, writer: Callable[[BinaryIO], object]) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(descriptor, "wb") as stream:
            writer(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide results from the rest of a group
        os.replace(temporary, path)
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _write_through(path: Path, writer: Callable[[BinaryIO], object]) -> None:
    with tempfile.TemporaryFile() as whole:
        writer(whole)
        whole.seek(0)
        with path.open("wb") as stream:  # a folder is refused here
            shutil.copyfileobj(whole, stream)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    write(path, lambda stream: stream.write(content))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Write ``document`` to ``path`` atomically as JSON; refuses NaN and infinity, which JSON has no words for."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
