"""One file for a whole long-tailed data set: small enough to travel to a machine without network, and lossless."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from fasa.atomic import write_bytes
from fasa.datasets.contact_sheet import decode_sheet, encode_sheets, sheet_count
from fasa.datasets.long_tail import LongTailDataset
from fasa.datasets.progress import progress_bar
from fasa.errors import UserError

FORMAT = "fasa-long-tail-pack"
VERSION = 1
SPLITS = ("train", "heldout", "test")


def save_pack(path: Path, dataset: LongTailDataset) -> None:
    """Write ``dataset`` to ``path``, an .npz archive; the same data set gives the same bytes.

    Each split has ``*_labels`` int64 [N], ``*_shape`` (N, 3, H, W), ``*_sheets`` the concatenated WebP contact sheets
    and ``*_offsets`` [sheets + 1] into them; ``header`` is JSON with the rest and a SHA-256 of all pixels and labels.

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
    arrays = {"header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)}
    with progress_bar() as progress:
        sheets = sum(sheet_count(len(getattr(dataset, f"{split}_labels"))) for split in SPLITS)
        task = progress.add_task(f"Packing {dataset.name}", total=sheets)
        for split in SPLITS:
            images = getattr(dataset, f"{split}_images")
            encoded = []
            for sheet in encode_sheets(images):
                encoded.append(sheet)
                progress.advance(task)
            arrays[f"{split}_labels"] = getattr(dataset, f"{split}_labels")
            arrays[f"{split}_shape"] = np.array(images.shape)
            arrays[f"{split}_sheets"] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
            arrays[f"{split}_offsets"] = np.cumsum([0, *map(len, encoded)])
    write_bytes(path, _npz(arrays))


def load_pack(path: Path) -> LongTailDataset:
    """Read a file that `save_pack` wrote, checking every pixel and label against its SHA-256.

    Raises:
        UserError: the file is missing, damaged, or not a pack of this version.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if (header["format"], header["version"]) != (FORMAT, VERSION):
                raise ValueError(f"format {header['format']} version {header['version']}")
            dataset = LongTailDataset(
                name=header["name"],
                class_names=tuple(header["class_names"]),
                mean=tuple(header["mean"]),
                std=tuple(header["std"]),
                flip=header["flip"],
                pad=header["pad"],
                **{f"{split}_labels": arrays[f"{split}_labels"] for split in SPLITS},
                **{f"{split}_images": _decode(arrays, split) for split in SPLITS},
            )
        if _digest(dataset) != header["sha256"]:
            raise ValueError("its pixels or labels fail their checksum")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: prepare the data set with `fasa data`.") from error
    except Exception as error:  # a damaged archive, array header, JSON or image can raise nearly any exception
        raise UserError(
            f"{path} is no readable data pack ({error}): remove it and prepare the data set again with `fasa data`."
        ) from error
    return dataset


def _decode(arrays: np.lib.npyio.NpzFile, split: str) -> np.ndarray:
    count, channels, height, width = (int(size) for size in arrays[f"{split}_shape"])
    content = arrays[f"{split}_sheets"].tobytes()
    offsets = arrays[f"{split}_offsets"].tolist()
    blank = np.empty((0, channels, height, width), dtype=np.uint8)  # a split may have no image
    sheets = [decode_sheet(content[start:end], height, width) for start, end in pairwise(offsets)]
    return np.concatenate([blank, *sheets])[:count]


def _digest(dataset: LongTailDataset) -> str:
    digest = hashlib.sha256()
    for split in SPLITS:
        for array in (getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels").astype("<i8")):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    """What ``np.savez`` writes, but without the time of day in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())  # ZipInfo's own date is 1 January 1980
    return stream.getvalue()
