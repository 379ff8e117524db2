"""JSON files that say what they are of and end in a checksum: a wrong byte, or another's file, is refused.

The first key is ``of``, the last is ``sha256``, of all bytes before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fasa import atomic
from fasa.errors import UserError

END = ',\n "sha256": "{}"\n}}\n'
LENGTH = len(END.format("0" * 64))


class Unsealed(UserError):
    """The file has no checksum, as those of older versions."""


def write(path: Path, of: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Write ``content``, JSON's values by their names, to ``path``; ``of`` says what it is.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    text = json.dumps({"of": dict(of), **content}, indent=1, allow_nan=False).removesuffix("\n}")
    atomic.write_text(path, text + END.format(hashlib.sha256(text.encode()).hexdigest()))


def read(path: Path, of: Mapping[str, Any], mend: str) -> dict[str, Any]:
    """What :func:`write` wrote to ``path``, but ``of``, in which all that is given here must be the same.

    Raises:
        UserError: the file is missing, damaged or of something else; ``mend`` says what to do.
        Unsealed: it has no checksum.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; {mend}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {mend}.") from error
    text, end = content[:-LENGTH], content[-LENGTH:]
    if end != END.format(hashlib.sha256(text).hexdigest()).encode():
        if _is_older(content):
            raise Unsealed(f"{path} is of a version that wrote no checksums; {mend}.")
        raise UserError(f"{path} is damaged; {mend}.")
    try:
        document = json.loads(text + b"\n}")
        told = {name: document["of"].get(name) for name in of}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} does not hold what this program writes; {mend}.") from error
    if told != dict(of):
        wrong = next(name for name in of if told[name] != of[name])
        raise UserError(f"{path} is of another {wrong}: {repr(told[wrong])[:100]}, not {of[wrong]!r}; {mend}.")
    del document["of"]
    return document


def _is_older(content: bytes) -> bool:
    """Whether this is a whole file without a checksum, not one of ours that is damaged."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.keys().isdisjoint({"of", "sha256"})
