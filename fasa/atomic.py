"""Write a file whole or not at all: a temporary file beside it, flushed to disk, then renamed over it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from fasa.errors import UserError


def write(path: Path, writer: Callable[[BinaryIO], object]) -> None:
    """Let ``writer`` fill a temporary file beside ``path``, then rename it to ``path``.

    Raises:
        UserError: the disk is full or the folder cannot be written; the old file is left as it was.
    """
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
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): free some space or choose another folder."
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    write(path, lambda stream: stream.write(content))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Write ``document`` to ``path`` atomically as JSON; refuses NaN and infinity, which JSON has no words for."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
