"""One file for a whole long-tailed data set: small enough to travel to a machine without network, and lossless."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from fasa import atomic
from fasa.datasets.long_tail import LongTailDataset
from fasa.errors import UserError

FORMAT = "fasa-long-tail-pack"
VERSION = 2
SPLITS = ("train", "heldout", "test")
UNPACKED, RATIO = 64 << 20, 100  # a pack of more bytes than the first is no more than so many times its file


def save_pack(path: Path, dataset: LongTailDataset) -> None:
    """Write ``dataset`` to ``path``, a compressed .npz archive; the same data set gives the same bytes.

    Each split has ``*_labels`` int64 [N] and ``*_differences`` uint8 [N, 3, H, W], of each pixel to its left neighbour,
    which compress better than the pixels; ``header`` is JSON with the rest and a SHA-256 of all pixels and labels.

    Raises:
        UserError: the file cannot be written.
    """
    header = {
        "format": FORMAT,
        "version": VERSION,
        "name": dataset.name,
        "class_names": dataset.class_names,
        "mean": dataset.mean,
        "std": dataset.std,
        "flip": dataset.flip,
        "pad": dataset.pad,
        "sha256": _digest(dataset),
    }
    arrays: dict[str, Any] = {"header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)}
    for split in SPLITS:
        arrays[f"{split}_labels"] = getattr(dataset, f"{split}_labels")
        arrays[f"{split}_differences"] = np.diff(getattr(dataset, f"{split}_images"), axis=-1, prepend=np.uint8(0))
    atomic.write(path, lambda stream: np.savez_compressed(stream, **arrays))


def load_pack(path: Path) -> LongTailDataset:
    """Read a file that `save_pack` wrote, checking every pixel and label against its SHA-256.

    Raises:
        UserError: the file is missing, damaged, or not a pack of this version.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            if sum(part.file_size for part in arrays.zip.infolist()) > max(UNPACKED, RATIO * path.stat().st_size):
                raise ValueError("it is packed as no images are")
            header = json.loads(arrays["header"].tobytes())
            if (header["format"], header["version"]) != (FORMAT, VERSION):
                raise ValueError(f"made by another version: format {header['format']} version {header['version']}")
            dataset = LongTailDataset(
                name=header["name"],
                class_names=tuple(header["class_names"]),
                mean=tuple(header["mean"]),
                std=tuple(header["std"]),
                flip=header["flip"],
                pad=header["pad"],
                **{f"{split}_labels": arrays[f"{split}_labels"] for split in SPLITS},
                **{
                    f"{split}_images": np.cumsum(arrays[f"{split}_differences"], axis=-1, dtype=np.uint8)
                    for split in SPLITS
                },
            )
        if _digest(dataset) != header["sha256"]:
            raise ValueError("its pixels or labels fail their checksum")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: prepare the data set with `fasa data`.") from error
    except Exception as error:  # a damaged archive, array header or JSON can raise nearly any exception
        raise UserError(
            f"{path} is no readable data pack ({error}): delete it and prepare the data set again with `fasa data`."
        ) from error
    return dataset


def _digest(dataset: LongTailDataset) -> str:
    digest = hashlib.sha256()
    for split in SPLITS:
        for array in (getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels").astype("<i8")):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
