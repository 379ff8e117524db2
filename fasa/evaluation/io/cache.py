"""Where what was made from a large file is kept for the next time: a folder that may be emptied at any time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fasa.evaluation.io.streams import explained


def cache_folder() -> Path | None:
    """$FASA_CACHE, else $XDG_CACHE_HOME/fasa, else ~/.cache/fasa; None where there is no home either."""
    if own := os.environ.get("FASA_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(shared):  # the XDG specification says to pass over a relative one
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
    with explained(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cached_path(kind: str, sha256: str, version: int) -> Path | None:
    """Where the cache keeps what this version of ``kind`` makes of the file with that hash; None without a folder."""
    folder = cache_folder()
    return folder / f"{kind}-{sha256}-v{version}.npz" if folder else None
