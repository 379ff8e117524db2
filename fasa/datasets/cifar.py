"""CIFAR-10 and CIFAR-100 in the official "python version", from a tar archive or an unpacked folder."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fasa.datasets.long_tail import ImagePool
from fasa.datasets.safe_pickle import load_arrays
from fasa.errors import UserError

# CIFAR-10's constants, also for CIFAR-100: Cao et al., LDAM (2019), ``cifar_train.py``.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2023, 0.1994, 0.2010)
PAD = 4


@dataclass(frozen=True)
class CifarLayout:
    """Where one CIFAR lies, what its files are called, and how many images they hold."""

    url: str
    md5: str
    folder: str
    train_files: tuple[str, ...]
    test_file: str
    meta_file: str
    label_key: str
    names_key: str
    train_size: int
    test_size: int
    classes: int

    @property
    def archive(self) -> str:
        """File name of the official archive."""
        return self.url.rpartition("/")[2]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files that are read."""
        return (*self.train_files, self.test_file, self.meta_file)


CIFAR100 = CifarLayout(
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    folder="cifar-100-python",
    train_files=("train",),
    test_file="test",
    meta_file="meta",
    label_key="fine_labels",
    names_key="fine_label_names",
    train_size=50_000,
    test_size=10_000,
    classes=100,
)
CIFAR10 = CifarLayout(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    folder="cifar-10-batches-py",
    train_files=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test_file="test_batch",
    meta_file="batches.meta",
    label_key="labels",
    names_key="label_names",
    train_size=50_000,
    test_size=10_000,
    classes=10,
)


def read_cifar(layout: CifarLayout, source: Path) -> ImagePool:
    """Read a whole CIFAR from ``source``: its tar archive, its unpacked folder, or a folder that holds either.

    Raises:
        UserError: nothing suitable is there, or it is truncated, damaged, incomplete or of the wrong shape.
    """
    files = _read_files(layout, source)
    names = _field(files[layout.meta_file], layout.names_key, f"{layout.meta_file} in {source}")
    if not isinstance(names, list) or len(names) != layout.classes or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{layout.meta_file} in {source} does not name {layout.classes} classes: get the official file again."
        )
    batches = [_batch(files[name], layout, f"{name} in {source}") for name in layout.train_files]
    train_images, train_labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    test_images, test_labels = _batch(files[layout.test_file], layout, f"{layout.test_file} in {source}")
    for part, found, expected in (
        ("training", len(train_labels), layout.train_size),
        ("test", len(test_labels), layout.test_size),
    ):
        if found != expected:
            raise UserError(
                f"{source} holds {found} {part} images instead of {expected}: use the complete official data set."
            )
    return ImagePool(
        tuple(names), train_images, train_labels, test_images, test_labels, mean=MEAN, std=STD, flip=True, pad=PAD
    )


def _read_files(layout: CifarLayout, source: Path) -> dict[str, Any]:
    """Unpickle every file of the layout, by name."""
    if source.is_file():
        contents = _from_archive(layout, source)
    elif (source / layout.files[0]).is_file():
        contents = _from_folder(layout, source)
    elif (source / layout.folder).is_dir():
        contents = _from_folder(layout, source / layout.folder)
    else:
        archives = sorted(source.glob(f"{layout.archive.removesuffix('.gz')}*"))
        archives = [path for path in archives if path.suffix != ".part"]  # the rest of an unfinished download
        if not archives:
            raise UserError(
                f"{source} holds neither {layout.archive} nor {layout.folder}/: pass the path of one of them."
            )
        contents = _from_archive(layout, archives[0])
    missing = [name for name in layout.files if name not in contents]
    if missing:
        raise UserError(f"{source} lacks {layout.folder}/{missing[0]}: get the official archive again.")
    return {name: load_arrays(content, f"{name} in {source}") for name, content in contents.items()}


def _from_folder(layout: CifarLayout, folder: Path) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in layout.files if (folder / name).is_file()}
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}): check its permissions.") from error


def _from_archive(layout: CifarLayout, path: Path) -> dict[str, bytes]:
    wanted = {f"{layout.folder}/{name}": name for name in layout.files}
    contents = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:  # in file order: going back would decompress the archive again
                name = wanted.get(member.name.removeprefix("./"))
                stream = archive.extractfile(member) if name is not None and member.isfile() else None
                if stream is not None:
                    contents[name] = stream.read()
            while archive.fileobj.read(1 << 20):  # tar ends before gzip does, whose checksum comes last of all
                pass
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path} is no complete tar archive ({error}): get the official archive again.") from error
    return contents


def _batch(document: Any, layout: CifarLayout, origin: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N] of one file."""
    data = _field(document, "data", origin)
    labels = _field(document, layout.label_key, origin)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
        raise UserError(f"data of {origin} is no uint8 array of 3072 columns: get the official file again.")
    if (
        not isinstance(labels, list)
        or len(labels) != len(data)
        or not all(isinstance(label, int) and 0 <= label < layout.classes for label in labels)
    ):
        raise UserError(
            f"{layout.label_key} of {origin} is no list of {len(data)} classes below {layout.classes}: "
            "get the official file again."
        )
    return np.ascontiguousarray(data).reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def _field(document: Any, key: str, origin: str) -> Any:
    if not isinstance(document, dict) or key not in document:
        raise UserError(f"{origin} has no field {key}: get the official file again.")
    return document[key]
