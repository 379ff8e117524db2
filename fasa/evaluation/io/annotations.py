"""Official annotations, LVIS or COCO, turned into the columns of ``fasa.evaluation.io.ground_truth.GroundTruth``."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import Any

import numpy as np
from msgspec import UNSET

from fasa.errors import UserError
from fasa.evaluation.io.annotation_entries import Annotation, Document, Image, from_objects, parse
from fasa.evaluation.io.annotation_masks import masks_of

FREQUENCIES = ("r", "c", "f")
_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")


def read_annotations(content: bytes | dict[str, Any], name: str) -> dict[str, Any]:
    """The fields of ``GroundTruth`` from a JSON file's bytes or from the object that ``json.load`` makes of them.

    As the official tools do: LVIS annotations whose area is not positive or infinite are left out (lvis-api's
    ``get_ann_ids``), LVIS knows no crowds, and COCO's "ignore" is its "iscrowd" (pycocotools overwrites the flag).

    Raises:
        UserError: the first entry at fault and its field; ``name`` is what the sentence calls the file.
    """
    document = parse(content, name) if isinstance(content, bytes) else from_objects(content, name)
    kind = _kind(document, name)
    image_ids, image_order = _ascending(_ids(document.images, name, "image"))
    category_ids, category_order = _ascending(_ids(document.categories, name, "category"))
    images = [document.images[i] for i in image_order]
    categories = [document.categories[i] for i in category_order]
    entries = document.annotations
    ids = _ids(entries, name, "annotation")
    if (ids < 1).any():
        i = int(np.argmax(ids < 1))
        raise UserError(
            f"{name}: annotation {i} has id {ids[i]}, which means none to the official tools: count from 1."
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
        "category_ids": category_ids,
        "category_names": tuple(str(entry.id) if entry.name is UNSET else entry.name for entry in categories),
        "frequencies": np.array([entry.frequency if kind == "lvis" else "" for entry in categories], "<U1"),
        "image": image[order],
        "category": category[order],
        "ids": ids[order],
        "area": area[order],
        "box": np.fromiter(chain.from_iterable(e.bbox for e in chosen), np.float64, 4 * len(chosen)).reshape(-1, 4),
        "ignore": (ignore if kind == "lvis" else crowd)[order],
        "crowd": (crowd & (kind == "coco"))[order],
        "position": order.astype(np.int64),
        **masks_of(chosen, order, sizes[image[order]], name),
    }
    columns |= _judged(columns, images)
    return {"name": name, **columns, "notes": _notes(kind, kept, crowd, ignore), "digest": _digest(columns)}


def _kind(document: Document, name: str) -> str:
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
            given = "no" if category.frequency is UNSET else repr(category.frequency)
            raise UserError(f'{name}: category {i} has {given} "frequency": write "r", "c" or "f", as LVIS does.')
    return "lvis"


def _ids(entries: list[Any], name: str, label: str) -> np.ndarray:
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


def _references(entries: list[Annotation], key: str, ids: np.ndarray, name: str) -> np.ndarray:
    """Index into ``ids`` (ascending) of what each annotation refers to, int32."""
    wanted = np.array([getattr(entry, key) for entry in entries], np.int64)
    index = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    strange = ids[index] != wanted
    if strange.any():
        i, what = int(np.argmax(strange)), key.removesuffix("_id")
        raise UserError(
            f"{name}: annotation {i} has {key} {wanted[i]}, but there is no such {what}: add it or mend the id."
        )
    return index.astype(np.int32)


def _judged(columns: dict[str, Any], images: list[Image]) -> dict[str, np.ndarray]:
    """The tables ``verified`` and ``not_exhaustive``; ids of unknown categories in an image's lists mean nothing."""
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


def _digest(columns: dict[str, Any]) -> str:
    """SHA-256 in hex of everything that scores depend on."""
    found = hashlib.sha256()
    for key, value in columns.items():
        if isinstance(value, np.ndarray):
            found.update(f"{key}{value.dtype.str}{value.shape}".encode())
            found.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
        else:
            found.update(repr((key, value)).encode())
    return found.hexdigest()
