"""Files of torch: written whole, read without executing anything in them, and every byte of them checked."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from fasa import atomic
from fasa.errors import UserError

# What a pickle may name beside tensors and plain values; with a name where it stands for something else.
Allowed = Sequence[Callable[..., Any] | tuple[Callable[..., Any], str]]


def write(path: Path, content: dict[str, Any]) -> None:
    """Save ``content`` at ``path``, whole or not at all.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()  # torch's writer seeks and, on a full disk, raises what says nothing of it
    torch.save(content, buffer)
    atomic.write(path, lambda stream: stream.write(buffer.getbuffer()))


def read(path: Path, mend: str, allowed: Allowed = ()) -> dict[str, Any]:
    """The dictionary that torch saved at ``path``, its tensors on the CPU.

    Raises:
        UserError: the file is missing, damaged, or names what is not ``allowed``; ``mend`` says what to do.
    """
    try:
        _check_sums(path)
        with torch.serialization.safe_globals(list(allowed)):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; {mend}.") from error
    except UnpicklingError as error:
        raise UserError(f"{path} is damaged, or holds code, which is never run; {mend}.") from error
    except Exception as error:  # torch raises whatever its zip reader and unpickler do
        raise UserError(f"{path} is damaged ({type(error).__name__}); {mend}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold what this program writes; {mend}.")
    return content


def each_with_the_one_before(checkpoints: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """``checkpoints`` from the last to the first, each with what is done where it does not load, for :func:`read`."""
    for place in reversed(range(len(checkpoints))):
        yield checkpoints[place], "the one before it is used" if place else "the training begins anew"


def _check_sums(path: Path) -> None:
    """Compare each part with its checksum, which torch writes and does not look at."""
    if zipfile.is_zipfile(path):  # else it is torn, or of before torch 1.6; torch knows the difference
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
        if wrong:
            raise zipfile.BadZipFile(f"{wrong} has another checksum")
