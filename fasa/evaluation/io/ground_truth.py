"""Annotations as columns: what every metric reads, made of the official JSON or loaded from our own .npz."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType

from fasa.errors import UserError
from fasa.evaluation.io.annotation_json import (
    LIKE_RESULTS,
    Category,
    ScoredAnnotation,
    ScoredImage,
    ScoringDocument,
    from_objects,
    parse,
)
from fasa.evaluation.io.files import ZIP, ByteStream, cached_path, file_sha256, first_bytes, memory
from fasa.evaluation.io.masks import masks_of_annotations, no_masks
from fasa.evaluation.io.npz import Format, Member, as_bytes, expect, read_npz, write_npz

FORMAT = Format("fasa-ground-truth", 2, "annotations")
FREQUENCIES = ("r", "c", "f")
_CACHE_KIND = "ground-truth"
_TEXTS = ("name", "kind", "category_names", "notes", "digest", "subset")
_TABLES = ("verified", "not_exhaustive")  # stored as bits
_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")
_NO_BOX = (np.nan,) * 4


@dataclass(frozen=True)
class GroundTruth:
    """Annotations of N images, K categories and G objects as columns, sorted by (image, category), file order inside.

    ``name``: the file's path, for messages; ``kind``: "lvis" (federated) or "coco"; ``image_ids`` int64 (N,) ascending;
    ``image_sizes`` int32 (N, 2) height, width, zeros if not given; ``image_positions`` int32 (N,) place in the file's
    list of images; ``val2017`` bool (N,) whether its "coco_url" is of COCO's validation images; ``category_ids`` int64
    (K,) ascending; ``frequencies`` "<U1" (K,) "r", "c", "f", or "" for COCO.

    Per object: ``image`` int32, an index into image_ids; ``category`` int32, an index into category_ids; ``ids`` int64,
    never 0; ``area`` float64, the file's; ``box`` float64 (G, 4) x, y, w, h, the file's, NaN without one; ``ignore``
    bool, LVIS: the entry's flag, COCO: its iscrowd; ``crowd`` bool, COCO's iscrowd; ``position`` int64, place in the
    file's list; ``mask_area`` int64 pixels, -1 without a mask, -2 where masks were not read; ``tight`` int32 (G, 4)
    x, y, w, h of its pixels, zeros if none.

    ``runs`` uint32 holds the run lengths of all masks (uncompressed RLE: column-major, background first), object g's at
    ``run_start[g]:run_start[g + 1]`` (int64 (G + 1,)).

    ``verified`` bool (N, K): the class is annotated in the image or known to be absent (COCO: always);
    ``not_exhaustive`` bool (N, K): not every object of the class is annotated (COCO: never). ``notes`` are sentences
    for the user; ``digest`` is the SHA-256 of the columns in hex; ``subset``: detections of further images are left out
    (``fasa.evaluation.subset``), else refused.
    """

    name: str
    kind: str
    image_ids: np.ndarray
    image_sizes: np.ndarray
    image_positions: np.ndarray
    val2017: np.ndarray
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
    subset: bool = False

    @cached_property
    def image_start(self) -> np.ndarray:
        """First row of each image, int64 (N + 1,)."""
        return np.searchsorted(self.image, np.arange(len(self.image_ids) + 1)).astype(np.int64)


def load_ground_truth(source: str | Path | dict[str, Any] | GroundTruth, masks: bool = True) -> GroundTruth:
    """Annotations from a path (official JSON, also gzipped, or our .npz), from what ``json.load`` makes, or as is.

    What a JSON file was turned into is kept in the cache folder (``cache_folder``) under the file's SHA-256, so that
    the next time takes a fraction of a second; without a folder to write to it is made again each time. A hash, not a
    date: a file that is written again within a clock's tick has the same date and size, and would get old figures.

    Args:
        masks: False leaves segmentations unread, whatever they are: for boxes.

    Raises:
        UserError: the file is missing or damaged, larger than the memory, or the first faulty entry and its field.
    """
    if isinstance(source, GroundTruth):
        return source
    if isinstance(source, Mapping):
        return GroundTruth(**read_annotations(dict(source), "annotations", masks))
    if not isinstance(source, str | Path):
        raise UserError(f"annotations are a path or an object, not a {type(source).__name__}: give one of those.")
    path = Path(source)
    if first_bytes(path) == ZIP:
        return _read_own(path, str(path))
    if first_bytes(path, 64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":  # before gigabytes of it are hashed
        raise UserError(LIKE_RESULTS.format(path))
    sha256 = file_sha256(path)
    whole, boxes = (cached_path(kind, sha256, FORMAT.version) for kind in (_CACHE_KIND, f"{_CACHE_KIND}-boxes"))
    for kept in (whole,) if masks else (whole, boxes):
        if kept:
            with suppress(UserError):  # none yet; or a damaged one, which is made again
                return _read_own(kept, str(path))
    ground_truth = _read_json(path, masks)
    if kept := whole if masks else boxes:
        with suppress(UserError):  # a cache that cannot be written is no reason not to score
            save_ground_truth(ground_truth, kept)
    return ground_truth


def _read_json(path: Path, masks: bool) -> GroundTruth:
    too_large = f"{path} does not fit into the memory: score on a machine with more, or cut the file to fewer images."
    if path.stat().st_size > memory():  # the system would end this process without a word
        raise UserError(too_large)
    try:
        with ByteStream(path) as stream:
            content = stream.read()
        return GroundTruth(**read_annotations(content, str(path), masks))
    except MemoryError as error:
        raise UserError(too_large) from error


def save_ground_truth(ground_truth: GroundTruth, path: str | Path) -> None:
    """Write our .npz, atomically.

    Raises:
        UserError: the file cannot be written.
    """
    header = {key: getattr(ground_truth, key) for key in _TEXTS}
    columns = {key: Member.of(getattr(ground_truth, key)) for key in _layout(0, 0, 0, 0)}
    columns |= {key: Member.of(np.packbits(getattr(ground_truth, key), axis=1)) for key in _TABLES}
    write_npz(Path(path), FORMAT, header, columns)


def _read_own(path: Path, name: str) -> GroundTruth:
    header, columns, _, sealed = read_npz(path, FORMAT)
    if not sealed:  # nothing in it could be trusted without the JSON that it was made of
        raise UserError(f"{path} was changed after fasa wrote it: write it again from the official JSON.")
    images, categories, objects, runs = (
        len(columns.get(key, ())) for key in ("image_ids", "category_ids", "image", "runs")
    )
    layout = _layout(images, categories, objects, runs)
    expect(path, columns, layout | {key: (np.uint8, (images, -(-categories // 8))) for key in _TABLES})
    if not set(_TEXTS) <= set(header):
        raise UserError(f"{path} is damaged (its header misses what belongs there): write it again.")
    texts: dict[str, Any] = {k: tuple(header[k]) if isinstance(header[k], list) else header[k] for k in _TEXTS}
    tables: dict[str, Any] = {key: np.unpackbits(columns[key], axis=1, count=categories).view(bool) for key in _TABLES}
    stored: dict[str, Any] = {key: columns[key] for key in layout}
    return GroundTruth(**stored, **tables, **(texts | {"name": name}))


def _layout(images: int, categories: int, objects: int, runs: int) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Dtype and shape of each column that is stored as it is."""
    return {
        "image_ids": (np.int64, (images,)),
        "image_sizes": (np.int32, (images, 2)),
        "image_positions": (np.int32, (images,)),
        "val2017": (np.bool_, (images,)),
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


def read_annotations(content: bytes | dict[str, Any], name: str, masks: bool = True) -> dict[str, Any]:
    """The fields of ``GroundTruth`` from a JSON file's bytes or from the object that ``json.load`` makes of them.

    As the official tools do: LVIS annotations whose area is not positive or infinite are left out (lvis-api's
    ``get_ann_ids``), LVIS knows no crowds, and COCO's "ignore" is its "iscrowd" (pycocotools overwrites the flag).

    Raises:
        UserError: the first faulty entry and its field; ``name`` is what the sentence calls the file.
    """
    document = parse(content, name) if isinstance(content, bytes) else from_objects(content, name)
    kind = _kind(document, name)
    image_ids, image_order = _ascending(_ids(document.images, name, "image"))
    category_ids, category_order = _ascending(_ids(document.categories, name, "category"))
    images = [document.images[i] for i in image_order]
    categories = [document.categories[i] for i in category_order]
    entries = document.annotations
    ids = _ids(entries, name, "annotation")
    if (ids == 0).any():
        raise UserError(
            f"{name}: annotation {int(np.argmax(ids == 0))} has id 0, and what the official tools match with it counts "
            "as not matched: count from 1."
        )
    image = _references(entries, "image_id", image_ids, name)
    category = _references(entries, "category_id", category_ids, name)
    area = np.array([entry.area for entry in entries], np.float64)
    if kind == "coco" and not np.isfinite(area).all():
        i = int(np.argmax(~np.isfinite(area)))
        raise UserError(f'{name}: annotation {i} has an infinite "area": write a finite number.')
    kept = (area > 0) & (area < np.inf) if kind == "lvis" else np.ones(len(area), bool)
    crowd = np.array([bool(entry.iscrowd) for entry in entries], bool)
    ignore = np.array([bool(entry.ignore) for entry in entries], bool)
    order = np.lexsort((category, image))  # stable: file order inside
    order = order[kept[order]]
    sizes = np.array([(entry.height, entry.width) for entry in images], np.int32)
    chosen = [entries[i] for i in order]
    columns = {
        "kind": kind,
        "image_ids": image_ids,
        "image_sizes": sizes,
        "image_positions": image_order.astype(np.int32),
        "val2017": np.array(["/val2017/" in entry.coco_url for entry in images], bool),
        "category_ids": category_ids,
        "category_names": tuple(_name(entry) for entry in categories),
        "frequencies": np.array([entry.frequency if kind == "lvis" else "" for entry in categories], "<U1"),
        "image": image[order],
        "category": category[order],
        "ids": ids[order],
        "area": area[order],
        "box": _boxes(chosen),
        "ignore": (ignore if kind == "lvis" else crowd)[order],
        "crowd": (crowd & (kind == "coco"))[order],
        "position": order.astype(np.int64),
        **(masks_of_annotations(chosen, order, sizes[image[order]], name) if masks else no_masks(len(chosen))),
    }
    columns |= _federated_tables(columns, images)
    return {"name": name, **columns, "notes": _notes(kind, kept, crowd, ignore), "digest": digest(columns)}


def _kind(document: ScoringDocument, name: str) -> str:
    """ "lvis" if an image has negative categories, else "coco"; a file between the two is refused."""
    if not document.images or not document.categories:
        raise UserError(f"{name} has no {'categories' if document.images else 'images'}: give complete annotations.")
    if all(image.neg_category_ids is UNSET for image in document.images):
        return "coco"
    for i, image in enumerate(document.images):
        for key in _LISTS:
            if getattr(image, key) is UNSET:
                raise UserError(f'{name}: image {i} has no "{key}", which other images of LVIS have: add it.')
    for i, category in enumerate(document.categories):
        if category.frequency not in FREQUENCIES:
            given = repr(category.frequency) if category.frequency else "no"
            raise UserError(f'{name}: category {i} has {given} "frequency": write "r", "c" or "f", as LVIS does.')
    return "lvis"


def _boxes(entries: list[ScoredAnnotation]) -> np.ndarray:
    boxes = chain.from_iterable(_NO_BOX if e.bbox is UNSET else e.bbox for e in entries)
    return np.fromiter(boxes, np.float64, 4 * len(entries)).reshape(-1, 4)


def _name(category: Category) -> str:
    return str(category.id) if isinstance(category.name, UnsetType) else category.name


def _ids(entries: Sequence[ScoredImage | Category | ScoredAnnotation], name: str, label: str) -> np.ndarray:
    """Ids in file order, int64, no two alike."""
    ids = np.array([entry.id for entry in entries], np.int64)
    order = np.argsort(ids, kind="stable")
    twice = np.flatnonzero(ids[order[1:]] == ids[order[:-1]])
    if len(twice):
        i = int(order[twice + 1].min())
        raise UserError(
            f"{name}: {label} {i} has id {ids[i]}, which an earlier {label} has: give each an id of its own."
        )
    return ids


def _ascending(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(ids, kind="stable")
    return ids[order], order


def _references(entries: list[ScoredAnnotation], key: str, ids: np.ndarray, name: str) -> np.ndarray:
    """Index into ``ids`` (ascending) of what each annotation refers to, int32."""
    wanted = np.array([getattr(entry, key) for entry in entries], np.int64)
    index = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    unknown = ids[index] != wanted
    if unknown.any():
        i, what = int(np.argmax(unknown)), key.removesuffix("_id")
        raise UserError(
            f"{name}: annotation {i} has {key} {wanted[i]}, but there is no such {what}: add it or correct the id."
        )
    return index.astype(np.int32)


def _federated_tables(columns: dict[str, Any], images: list[ScoredImage]) -> dict[str, np.ndarray]:
    """The tables ``verified`` and ``not_exhaustive``; ids of unknown categories in an image's lists are ignored."""
    shape = len(columns["image_ids"]), len(columns["category_ids"])
    if columns["kind"] == "coco":
        return {"verified": np.ones(shape, bool), "not_exhaustive": np.zeros(shape, bool)}
    tables = []
    for key in _LISTS:
        lists = [getattr(entry, key) for entry in images]
        wanted = np.fromiter(chain.from_iterable(lists), np.int64)
        row = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
        column = np.minimum(np.searchsorted(columns["category_ids"], wanted), shape[1] - 1)
        known = columns["category_ids"][column] == wanted
        tables.append(np.zeros(shape, bool))
        tables[-1][row[known], column[known]] = True
    tables[0][columns["image"], columns["category"]] = True
    return {"verified": tables[0], "not_exhaustive": tables[1]}


def _notes(kind: str, kept: np.ndarray, crowd: np.ndarray, ignore: np.ndarray) -> tuple[str, ...]:
    """What the user should know of entries that do not count as they look."""
    cases = (
        (~kept, "Left out, as by lvis-api: {} with an area of 0 or less, or infinite."),
        (crowd & (kind == "lvis"), 'Passed over, since LVIS has no crowds: "iscrowd" of {}.'),
        (ignore & ~crowd & (kind == "coco"), 'Passed over, as by pycocotools: "ignore" of {}.'),
    )
    counts = [(int(flags.sum()), note) for flags, note in cases]
    return tuple(note.format(f"{n} annotation{'s' * (n > 1)}") for n, note in counts if n)


def digest(columns: dict[str, Any]) -> str:
    """SHA-256 in hex of everything that scores depend on."""
    found = hashlib.sha256()
    for key, value in columns.items():
        if isinstance(value, np.ndarray):
            found.update(f"{key}{value.dtype.str}{value.shape}".encode())
            found.update(as_bytes(value))
        else:
            found.update(repr((key, value)).encode())
    return found.hexdigest()
