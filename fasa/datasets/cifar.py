"""CIFAR-100 in the official "python version", from a tar archive or an unpacked folder."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fasa.datasets.long_tail import ImagePool
from fasa.errors import UserError
from fasa.safe_pickle import load_arrays

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
MD5 = "md5:eb9058c3a382ffc7106e4002c42a8d85"
BYTES = 169_001_437
ARCHIVE = URL.rpartition("/")[2]
FOLDER = "cifar-100-python"
FILES = ("train", "test", "meta")
CLASSES, TRAIN_IMAGES, TEST_IMAGES = 100, 50_000, 10_000
# CIFAR-10's constants, also for CIFAR-100: Cao et al., LDAM (2019), ``cifar_train.py``.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2023, 0.1994, 0.2010)
PAD = 4
# By how a packed file begins.
OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
BLOCK = 1 << 20
LARGEST, MEMBERS = 400 << 20, 100  # bytes of a file, and entries: over twice what the official archive has


def read_cifar100(source: Path) -> ImagePool:
    """Read the whole of CIFAR-100 from ``source``: its tar archive, its unpacked folder, or a folder that holds either.

    Raises:
        UserError: nothing suitable is there, or it is truncated, damaged, incomplete or of the wrong shape.
    """
    train, test, meta = _read_files(source)
    names = _field(meta, "fine_label_names", f"meta in {source}")
    if not isinstance(names, list) or len(names) != CLASSES or not all(isinstance(name, str) for name in names):
        raise UserError(f"meta in {source} does not name {CLASSES} classes: get the official file again.")
    return ImagePool(
        tuple(names),
        *_images_and_labels(train, TRAIN_IMAGES, "training", f"train in {source}"),
        *_images_and_labels(test, TEST_IMAGES, "test", f"test in {source}"),
        mean=MEAN,
        std=STD,
        flip=True,
        pad=PAD,
    )


def _read_files(source: Path) -> list[Any]:
    """What each of ``FILES`` holds, unpickled."""
    if source.is_file():
        contents = _from_archive(source)
    elif (source / FILES[0]).is_file():
        contents = _from_folder(source)
    elif (source / FOLDER).is_dir():
        contents = _from_folder(source / FOLDER)
    else:
        archives = sorted(source.glob(f"{ARCHIVE.removesuffix('.gz')}*"))
        archives = [path for path in archives if path.suffix != ".part"]  # the rest of an unfinished download
        if not archives:
            raise UserError(f"{source} holds neither {ARCHIVE} nor {FOLDER}/: pass the path of one of them.")
        contents = _from_archive(archives[0])
    missing = [name for name in FILES if name not in contents]
    if missing:
        raise UserError(f"{source} lacks {FOLDER}/{missing[0]}: get the official archive again.")
    return [load_arrays(contents[name], f"{name} in {source}") for name in FILES]


def _from_folder(folder: Path) -> dict[str, bytes]:
    paths = [path for name in FILES if (path := folder / name).is_file()]
    if large := next((path for path in paths if path.stat().st_size > LARGEST), None):
        raise UserError(f"{large} is larger than CIFAR-100's: get the official archive again.")
    try:
        return {path.name: path.read_bytes() for path in paths}
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}): check its permissions.") from error


class _Blocks(io.BufferedReader):
    """A file that gives a block at most at once: a tar's header may ask for as much as it likes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > 16 * BLOCK:
            raise tarfile.ReadError("a header is too large")
        return super().read(size)


def _from_archive(path: Path) -> dict[str, bytes]:
    wanted = {f"{FOLDER}/{name}": name for name in FILES}
    contents: dict[str, bytes] = {}
    try:
        with path.open("rb") as file:
            begin = file.read(8)
            opener = next((opener for magic, opener in OPENERS.items() if begin.startswith(magic)), io.open)
        with opener(path, "rb") as unpacked, tarfile.open(fileobj=_Blocks(unpacked), mode="r:") as archive:
            for number, member in enumerate(archive):  # in file order: going back would decompress the archive again
                if number >= MEMBERS or member.size > LARGEST:
                    raise tarfile.ReadError("it holds more than CIFAR-100")
                name = wanted.get(member.name.removeprefix("./"))
                stream = archive.extractfile(member) if member.isfile() else None
                if name is not None and stream is not None:
                    contents[name] = b"".join(iter(partial(stream.read, BLOCK), b""))
            while archive.fileobj.read(BLOCK):  # tar ends before gzip does, whose checksum comes last of all
                pass
    except (tarfile.TarError, OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path} is no complete tar archive ({error}): get the official archive again.") from error
    return contents


def _images_and_labels(document: Any, expected: int, part: str, origin: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N] of one file."""
    data = _field(document, "data", origin)
    labels = _field(document, "fine_labels", origin)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
        raise UserError(f"data of {origin} is no uint8 array of 3072 columns: get the official file again.")
    if (
        not isinstance(labels, list)
        or len(labels) != len(data)
        or not all(isinstance(label, int) and 0 <= label < CLASSES for label in labels)
    ):
        raise UserError(
            f"fine_labels of {origin} is no list of {len(data)} classes below {CLASSES}: get the official file again."
        )
    if len(labels) != expected:
        raise UserError(
            f"{origin} holds {len(labels)} {part} images instead of {expected}: use the complete official data set."
        )
    return np.ascontiguousarray(data).reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def _field(document: Any, key: str, origin: str) -> Any:
    if not isinstance(document, dict) or key not in document:
        raise UserError(f"{origin} has no field {key}: get the official file again.")
    return document[key]
