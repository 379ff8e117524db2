"""A file's bytes, gzip undone by its magic bytes; whatever is wrong with the file becomes one sentence."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fasa.errors import UserError

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the exceptions of opening and reading ``path`` into a ``UserError``."""
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
            f"{path} cannot be read ({error.strerror or error}): mend that or copy it elsewhere."
        ) from error


def first_bytes(path: Path) -> bytes:
    """The first four bytes of a file, which tell gzip, zip and text apart."""
    with explained(path), path.open("rb") as stream:
        return stream.read(4)


class ByteStream:
    """The bytes of a file from start to end, unzipped where it is gzip; ``done`` are the bytes read from the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained(path):
            self._file = path.open("rb")
            magic = self._file.read(2)
            self._file.seek(0)
        self._stream = gzip.GzipFile(fileobj=self._file) if magic == GZIP else self._file

    @property
    def done(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, fewer only at the end; all that are left by default."""
        with explained(self.path):
            return self._stream.read(size)

    def __enter__(self) -> ByteStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._file.close()
