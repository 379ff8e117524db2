"""Annotations as columns: what every metric reads, loaded from the official JSON or from our own .npz."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.io.annotations import read_annotations
from fasa.evaluation.io.cache import cached_path, file_sha256
from fasa.evaluation.io.columns import Column, Format, expect, read_columns, write_columns
from fasa.evaluation.io.streams import ZIP, ByteStream, first_bytes

FORMAT = Format("fasa-ground-truth", 1, "annotations")
_KIND = "ground-truth"
_TEXTS = ("name", "kind", "category_names", "notes", "digest")
_TABLES = ("verified", "not_exhaustive")  # stored as bits


@dataclass(frozen=True)
class GroundTruth:
    """Annotations of N images, K categories and G objects as columns, sorted by (image, category), file order inside.

    ``name``: the file's path, for messages; ``kind``: "lvis" (federated) or "coco"; ``image_ids`` int64 [N] ascending;
    ``image_sizes`` int32 [N, 2] height, width; ``image_positions`` int32 [N] place in the file's list of images;
    ``category_ids`` int64 [K] ascending; ``frequencies`` "<U1" [K] "r", "c", "f", or "" for COCO.

    Per object: ``image`` int32, an index into image_ids; ``category`` int32, an index into category_ids; ``ids`` int64,
    from 1; ``area`` float64, the file's; ``box`` float64 [G, 4] x, y, w, h, the file's; ``ignore`` bool, LVIS: the
    entry's flag, COCO: its iscrowd; ``crowd`` bool, COCO's iscrowd; ``position`` int64, place in the file's list;
    ``mask_area`` int64 pixels, -1 without a mask; ``tight`` int32 [G, 4] x, y, w, h of its pixels, zeros if none.

    ``runs`` uint32 holds the run lengths of all masks (uncompressed RLE: column-major, background first), object g's at
    ``run_start[g]:run_start[g + 1]`` (int64 [G + 1]).

    ``verified`` bool [N, K]: the class is annotated in the image or known to be absent (COCO: always);
    ``not_exhaustive`` bool [N, K]: not every object of the class is annotated (COCO: never). ``notes`` are sentences
    for the user; ``digest`` is the SHA-256 of the columns in hex.
    """

    name: str
    kind: str
    image_ids: np.ndarray
    image_sizes: np.ndarray
    image_positions: np.ndarray
    category_ids: np.ndarray
    category_names: tuple[str, ...]
    frequencies: np.ndarray
    image: np.ndarray
    category: np.ndarray
    ids: np.ndarray
    area: np.ndarray
    box: np.ndarray
    ignore: np.ndarray
    crowd: np.ndarray
    position: np.ndarray
    runs: np.ndarray
    run_start: np.ndarray
    mask_area: np.ndarray
    tight: np.ndarray
    verified: np.ndarray
    not_exhaustive: np.ndarray
    notes: tuple[str, ...]
    digest: str

    @cached_property
    def image_start(self) -> np.ndarray:
        """First row of each image, int64 [N + 1]."""
        return np.searchsorted(self.image, np.arange(len(self.image_ids) + 1)).astype(np.int64)


def load_ground_truth(source: str | Path | dict[str, Any] | GroundTruth) -> GroundTruth:
    """Annotations from a path (official JSON, also gzipped, or our .npz), from what ``json.load`` makes, or as is.

    What a JSON file was turned into is kept in the cache folder (``fasa.evaluation.io.cache``) under the file's SHA-256, so
    that the next time takes a fraction of a second; without a folder to write to it is made anew each time.

    Raises:
        UserError: the file is missing or damaged, or the first entry at fault and its field.
    """
    if isinstance(source, GroundTruth):
        return source
    if isinstance(source, Mapping):
        return GroundTruth(**read_annotations(dict(source), "annotations"))
    if not isinstance(source, str | Path):
        raise UserError(f"annotations are a path or an object, not a {type(source).__name__}: give one of those.")
    path = Path(source)
    if first_bytes(path) == ZIP:
        return _read(path, str(path))
    if kept := cached_path(_KIND, file_sha256(path), FORMAT.version):
        with suppress(UserError):  # none yet; or a damaged one, which is made anew
            return _read(kept, str(path))
    with ByteStream(path) as stream:
        content = stream.read()
    ground_truth = GroundTruth(**read_annotations(content, str(path)))
    if kept:
        with suppress(UserError):  # a cache that cannot be written is no reason not to score
            save_ground_truth(ground_truth, kept)
    return ground_truth


def save_ground_truth(ground_truth: GroundTruth, path: str | Path) -> None:
    """Write our .npz, atomically.

    Raises:
        UserError: the file cannot be written.
    """
    header = {key: getattr(ground_truth, key) for key in _TEXTS}
    columns = {key: Column.of(getattr(ground_truth, key)) for key in _layout(0, 0, 0, 0)}
    columns |= {key: Column.of(np.packbits(getattr(ground_truth, key), axis=1)) for key in _TABLES}
    write_columns(Path(path), FORMAT, header, columns)


def _read(path: Path, name: str) -> GroundTruth:
    header, columns, _ = read_columns(path, FORMAT)
    images, categories, objects, runs = (
        len(columns.get(key, ())) for key in ("image_ids", "category_ids", "image", "runs")
    )
    layout = _layout(images, categories, objects, runs)
    expect(path, columns, layout | {key: (np.uint8, (images, -(-categories // 8))) for key in _TABLES})
    if not set(_TEXTS) <= set(header):
        raise UserError(f"{path} is damaged (its header misses what belongs there): write it again.")
    texts = {key: tuple(value) if isinstance(value := header[key], list) else value for key in _TEXTS}
    tables = {key: np.unpackbits(columns[key], axis=1, count=categories).view(bool) for key in _TABLES}
    return GroundTruth(**{key: columns[key] for key in layout}, **tables, **texts | {"name": name})


def _layout(images: int, categories: int, objects: int, runs: int) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Dtype and shape of each column that is stored as it is."""
    return {
        "image_ids": (np.int64, (images,)),
        "image_sizes": (np.int32, (images, 2)),
        "image_positions": (np.int32, (images,)),
        "category_ids": (np.int64, (categories,)),
        "frequencies": (np.dtype("<U1"), (categories,)),
        "image": (np.int32, (objects,)),
        "category": (np.int32, (objects,)),
        "ids": (np.int64, (objects,)),
        "area": (np.float64, (objects,)),
        "box": (np.float64, (objects, 4)),
        "ignore": (np.bool_, (objects,)),
        "crowd": (np.bool_, (objects,)),
        "position": (np.int64, (objects,)),
        "runs": (np.uint32, (runs,)),
        "run_start": (np.int64, (objects + 1,)),
        "mask_area": (np.int64, (objects,)),
        "tight": (np.int32, (objects, 4)),
    }
