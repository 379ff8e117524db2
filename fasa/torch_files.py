"""Files of torch: written whole, read without executing anything in them, and every byte of them checked."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from types import MappingProxyType
from typing import Any

import torch

from fasa import atomic, safe_pickle
from fasa.errors import UserError

NUMBERS = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
# What a pickle of tensors and plain values names; torch lets it name more, with which it can ask for any memory.
TENSORS = {
    *(f"torch.{numbers}Storage" for numbers in NUMBERS),
    *("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch.Size", "_codecs.encode"),
    *("collections.OrderedDict", "collections.Counter"),
}
PICKLES = 5  # in a file of before torch 1.6
NOTHING: safe_pickle.Makers = MappingProxyType({})


def write(path: Path, content: dict[str, Any]) -> None:
    """Save ``content`` at ``path``, whole or not at all.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()  # torch's writer seeks and, on a full disk, raises what says nothing of it
    torch.save(content, buffer)
    atomic.write(path, lambda stream: stream.write(buffer.getbuffer()))


def read(path: Path, mend: str, allowed: safe_pickle.Makers = NOTHING) -> dict[str, Any]:
    """The dictionary that torch saved at ``path``, its tensors on the CPU.

    Beside tensors and plain values it may name what is ``allowed``, and gets what stands there under that name.

    Raises:
        UserError: the file is missing, damaged, or names what is not ``allowed``; ``mend`` says what to do.
    """
    try:
        _check(path, TENSORS | allowed.keys())
        with torch.serialization.safe_globals([(maker, name) for name, maker in allowed.items()]):
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


def check_sums(path: Path, mend: str) -> None:
    """See that the file at ``path`` is whole, without making anything of it.

    Raises:
        UserError: it is not; ``mend`` says what to do.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_parts(archive)
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}); {mend}.") from error


def _check(path: Path, names: Container[str]) -> None:
    """Compare each part with its checksum, which torch writes and does not look at, and go through the pickle.

    Raises:
        UnpicklingError: the pickle asks for what is not in ``names``, or would crash or bloat this process.
        BadZipFile: a part has another checksum, or is packed, which torch never does.
    """
    if not zipfile.is_zipfile(path):  # of before torch 1.6, or torn
        with path.open("rb") as stream:
            for _ in range(PICKLES):
                safe_pickle.check(stream, names)
        return
    with zipfile.ZipFile(path) as archive:
        _check_parts(archive)
        for part in archive.infolist():
            if part.filename.endswith(".pkl"):
                with archive.open(part) as stream:
                    safe_pickle.check(stream, names)


def _check_parts(archive: zipfile.ZipFile) -> None:
    parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise zipfile.BadZipFile("a part is packed")
    if sum(part.file_size for part in parts) > Path(str(archive.filename)).stat().st_size:
        raise zipfile.BadZipFile("its parts are larger than the file")
    if wrong := archive.testzip():
        raise zipfile.BadZipFile(f"{wrong} has another checksum")
