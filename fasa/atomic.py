"""Write a file whole or not at all: a temporary file beside it, flushed to disk, then renamed over it.

A link is followed, so that its target is what changes. A pipe or a device cannot be renamed over: it is written to,
once all that belongs there is known.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from fasa.errors import UserError
from fasa.orphans import is_alive

FORGOTTEN = 3600.0  # seconds after which a temporary file of a process on another machine is nobody's


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
        temporary = _beside(path)
        with temporary.open("xb") as stream:  # with the rights that the umask leaves
            writer(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path``, on the same disk, that is gone at the end: what stays is renamed out of it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = _beside(path)
        folder.mkdir()
    except OSError as error:
        raise UserError(f"{path.parent} cannot be written ({error.strerror}): choose another folder.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A new name for what is to become ``path``; what writers left there that were killed is deleted."""
    start, here = f".{path.name}.", socket.gethostname()
    for left in path.parent.glob(f"{glob.escape(start)}*.tmp"):
        host, _, pid = left.name.removeprefix(start).rpartition("-")[0].rpartition("-")
        with suppress(OSError):  # another may be deleting it, too
            old = time.time() - left.stat().st_mtime > FORGOTTEN
            if old or (host == here and pid.isdecimal() and not is_alive(int(pid))):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    return path.with_name(f"{start}{here}-{os.getpid()}-{os.urandom(4).hex()}.tmp")


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
