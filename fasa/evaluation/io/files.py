"""Files as bytes, gzip unpacked, errors in one sentence; and the cache folder, which may be emptied at any time.

An input is read more than once (its first bytes, its hash, its content), so it is a file: pipes and devices are
refused.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from fasa.errors import UserError

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
_ABANDONED = 3600.0  # seconds since the last byte of a temporary file whose writer must be dead


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the exceptions of opening and reading ``path`` into a ``UserError``."""
    if "\0" in str(path):
        raise UserError(f"{str(path)!r} has a NUL character, which no path has: check the path.")
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: check the path.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder: name the file in it.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is a damaged or cut-off gzip file ({error}): copy or write it again.") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}): make it readable or copy it elsewhere."
        ) from error


def real(path: Path) -> Path:
    """Where ``path`` leads, links followed; to tell whether two paths are one file."""
    with explained(path):
        return Path(os.path.realpath(path))  # Path.resolve fails where links lead in a circle


def opened(path: Path) -> BufferedReader:
    """A file to read.

    Raises:
        UserError: there is none, it cannot be read, or it is a pipe or a device.
    """
    with explained(path):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe without a writer would wait for ever
            raise UserError(f"{path} is a pipe or a device and can be read once only: write a file first and name it.")
        return path.open("rb")


def first_bytes(path: Path, size: int = 4) -> bytes:
    """The first bytes of a file; four tell gzip, zip and text apart."""
    with explained(path), opened(path) as stream:
        return stream.read(size)


class ByteStream:
    """The bytes of a file from start to end, unpacked if it is gzip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = opened(path)
        with explained(path):
            magic = self._file.read(2)
            self._file.seek(0)
        packed = gzip.GzipFile(fileobj=self._file) if magic == GZIP else None
        self._stream = packed or self._file

    @property
    def done(self) -> int:
        """Bytes read from the disk so far."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, fewer only at the end; all that are left by default."""
        with explained(self.path):
            return self._stream.read(size)

    def readinto(self, target: memoryview) -> int:
        """Fill ``target`` with the next bytes; how many there were, 0 only at the end."""
        with explained(self.path):
            return self._stream.readinto(target)

    def __enter__(self) -> ByteStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._file.close()


def memory() -> int:
    """Bytes of this machine's memory; where the system does not say, as many as there can be."""
    if not hasattr(os, "sysconf"):
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cache_folder() -> Path | None:
    """$FASA_CACHE, else $XDG_CACHE_HOME/fasa, else ~/.cache/fasa; None if there is no home folder either."""
    if own := os.environ.get("FASA_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(shared):  # the XDG specification says to ignore a relative one
        return Path(shared) / "fasa"
    try:
        return Path.home() / ".cache" / "fasa"
    except RuntimeError:
        return None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes in hex.

    Raises:
        UserError: the file cannot be read.
    """
    with explained(path), opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cached_path(kind: str, sha256: str, version: int) -> Path | None:
    """Where the cache keeps what this version of ``kind`` makes of the file with that hash; None without a folder.

    What processes that were killed while they wrote have left there is deleted.
    """
    folder = cache_folder()
    if folder is None:
        return None
    with suppress(OSError):  # not there yet, or another process was faster
        for left in folder.glob(f".{kind}-*.tmp"):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()
    return folder / f"{kind}-{sha256}-v{version}.npz"
