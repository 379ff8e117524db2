"""Entries of a results file become columns: quickly where the typed parser accepts them, else field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from fasa.errors import UserError
from fasa.evaluation.io import fields
from fasa.evaluation.io.annotation_json import Length, Side
from fasa.evaluation.io.masks import from_rle

NO_BOX = (np.nan,) * 4
NO_SIZE = (0, 0)  # of no mask; both parsers see to it that a mask's sides are 1 or more


class Rle(msgspec.Struct, gc=False):
    """A mask in the usual form."""

    size: tuple[Side, Side]
    counts: str


class Entry(msgspec.Struct, gc=False):
    """A detection in the usual form; further keys are ignored."""

    image_id: int
    category_id: int
    score: float
    bbox: tuple[float, float, Length, Length] | UnsetType = UNSET
    segmentation: Rle | UnsetType = UNSET


class BoxedEntry(msgspec.Struct, gc=False):
    """A detection in the usual form, of which the box alone is asked for."""

    image_id: int
    category_id: int
    score: float
    bbox: tuple[float, float, Length, Length]


@dataclasses.dataclass
class RawDetections:
    """Columns of n entries as read, not yet validated: see ``fasa.evaluation.Detections``."""

    image_id: np.ndarray  # int64 (n,)
    category_id: np.ndarray  # int64 (n,)
    score: np.ndarray  # float64 (n,)
    box: np.ndarray  # float64 (n, 4), NaN without a box
    size: np.ndarray  # int64 (n, 2), zeros without a mask
    length: np.ndarray  # int64 (n,) bytes of each mask's string
    counts: np.ndarray  # uint8

    def __len__(self) -> int:
        return len(self.score)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(getattr(self, f.name).nbytes for f in dataclasses.fields(self))

    @classmethod
    def of(
        cls, image_id: Any, category_id: Any, score: Any, box: Any, size: Any, strings: Sequence[bytes]
    ) -> RawDetections:
        """Columns made of anything that numpy takes for them, and one string a mask."""
        n = len(score)
        return cls(
            np.array(image_id, np.int64),
            np.array(category_id, np.int64),
            np.array(score, np.float64),
            np.array(box, np.float64).reshape(n, 4),
            np.array(size, np.int64).reshape(n, 2),
            np.array([len(string) for string in strings], np.int64),
            _bytes(b"".join(strings)),
        )

    @classmethod
    def of_scanner(
        cls, image_id: np.ndarray, category_id: np.ndarray, score: np.ndarray, box: np.ndarray, size: np.ndarray,
        length: np.ndarray, counts: np.ndarray,
    ) -> RawDetections:  # fmt: skip
        """Columns as the compiled scanner gives them, boxes and sizes one after the other."""
        return cls(image_id, category_id, score, box.reshape(-1, 4), size.reshape(-1, 2), length, counts)

    @classmethod
    def join(cls, parts: list[RawDetections]) -> RawDetections:
        """Parts one after the other; at least one part."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in dataclasses.fields(cls)))


def from_typed(entries: list[Entry]) -> RawDetections:
    """Columns of entries in the usual form.

    Raises:
        ValueError or OverflowError: an id beyond 64 bits, or a mask string with characters that are not ASCII.
    """
    n = len(entries)
    boxes = [NO_BOX if (box := entry.bbox) is UNSET else box for entry in entries]
    masks = [_NO_MASK if (mask := entry.segmentation) is UNSET else mask for entry in entries]
    strings = [mask.counts for mask in masks]
    return RawDetections(
        np.array([entry.image_id for entry in entries], dtype=np.int64),
        np.array([entry.category_id for entry in entries], dtype=np.int64),
        np.array([entry.score for entry in entries], dtype=np.float64),
        np.fromiter(chain.from_iterable(boxes), np.float64, 4 * n).reshape(n, 4),
        np.fromiter(chain.from_iterable([mask.size for mask in masks]), np.int64, 2 * n).reshape(n, 2),
        np.fromiter(map(len, strings), np.int64, n),
        _bytes("".join(strings).encode("ascii")),
    )


def from_boxed(entries: list[BoxedEntry]) -> RawDetections:
    """Columns of entries of which the box alone is asked for.

    Raises:
        OverflowError: an id beyond 64 bits.
    """
    n = len(entries)
    return RawDetections(
        np.array([entry.image_id for entry in entries], dtype=np.int64),
        np.array([entry.category_id for entry in entries], dtype=np.int64),
        np.array([entry.score for entry in entries], dtype=np.float64),
        np.fromiter(chain.from_iterable([entry.bbox for entry in entries]), np.float64, 4 * n).reshape(n, 4),
        np.zeros((n, 2), np.int64),
        np.zeros(n, np.int64),
        _bytes(b""),
    )


def without_masks(raw: RawDetections, dropped: np.ndarray) -> RawDetections:
    """Columns without the masks of the rows ``dropped``, bool (n,)."""
    masked = raw.size[:, 0] > 0
    if not (masked & dropped).any():
        return raw
    keep = masked & ~dropped
    return dataclasses.replace(
        raw,
        size=np.where(keep[:, None], raw.size, 0),
        length=np.where(keep, raw.length, 0),
        counts=raw.counts[np.repeat(keep, raw.length)],
    )


def from_objects(
    entries: Sequence[Any], name: str, first: int, masks: bool = True
) -> tuple[RawDetections, UserError | None]:
    """Columns of entries as ``json.loads`` or pycocotools give them, up to the first with a faulty field; its fault.

    The fault is not raised, since a fault in a mask of the entries before it comes first.

    Args:
        name: what sentences call the file.
        first: place of the first entry in the whole file.
        masks: False does not look at the masks of entries that have a box.
    """
    if (columns := _from_plain(entries)) is not None:
        return columns, None
    rows, strings, fault = [], [], None
    try:
        for i, value in enumerate(entries, first):
            row, string = _row(value, f"{name}: detection {i}", masks)
            rows.append(row)
            strings.append(string)
    except UserError as error:
        fault = error
    image_id, category_id, score, boxes, sizes = zip(*rows, strict=True) if rows else ((),) * 5
    return RawDetections.of(image_id, category_id, score, boxes, sizes, strings), fault


def _from_plain(entries: Sequence[Any]) -> RawDetections | None:
    """As ``from_objects``, five times as fast, where every field has one of the usual types; else None."""
    try:
        image_id = [entry["image_id"] for entry in entries]
        category_id = [entry["category_id"] for entry in entries]
        score = [entry["score"] for entry in entries]
        boxes = [entry.get("bbox", NO_BOX) for entry in entries]
        masks = [entry.get("segmentation", _NO_RLE) for entry in entries]
        sizes = [mask["size"] for mask in masks]
        strings = [mask["counts"] for mask in masks]
        numbers = [*chain.from_iterable(boxes)]
        sides = [*chain.from_iterable(sizes)]
    except (LookupError, TypeError, AttributeError):
        return None
    real = (image_id, category_id, score, numbers)
    if any(set(map(type, values)) - _REAL for values in real):
        return None
    if set(map(type, sides)) - _WHOLE or set(map(type, strings)) - _TEXT:
        return None
    if set(map(len, boxes)) - {4} or set(map(len, sizes)) - {2}:
        return None
    strings = [string if isinstance(string, bytes) else string.encode("utf-8", "surrogatepass") for string in strings]
    try:
        columns = RawDetections.of(_ids(image_id), _ids(category_id), score, numbers, sides, strings)
    except (ValueError, OverflowError):
        return None
    boxed = np.array([box is not NO_BOX for box in boxes], dtype=bool)
    masked = np.array([mask is not _NO_RLE for mask in masks], dtype=bool)
    box, size = columns.box[boxed], columns.size[masked]
    sound = np.isfinite(columns.score).all() and np.isfinite(box).all() and (box[:, 2:] >= 0).all()
    return columns if sound and (size >= 1).all() and (size <= fields.LARGEST_SIDE).all() else None


def _ids(values: list[Any]) -> np.ndarray:
    """int64 of numbers that are whole, 3.0 among them.

    Raises:
        ValueError or OverflowError: one is not, or too large to tell.
    """
    if not set(map(type, values)) - _WHOLE:
        return np.array(values, dtype=np.int64)
    numbers = np.array(values, dtype=np.float64)
    if not ((np.abs(numbers) < 2**53) & (numbers == np.trunc(numbers))).all():
        raise ValueError
    return numbers.astype(np.int64)


def _bytes(content: bytes) -> np.ndarray:
    """uint8, writable like every other column: numba would compile a kernel a second time for one that is not."""
    return np.frombuffer(bytearray(content), np.uint8)


def _row(value: Any, where: str, masks: bool) -> tuple[tuple[Any, ...], bytes]:
    """image_id, category_id, score, box and mask size of one entry, and its mask's string."""
    entry = fields.record(value, where)
    image_id = fields.whole(fields.present(entry, "image_id", where), where, "image_id")
    category_id = fields.whole(fields.present(entry, "category_id", where), where, "category_id")
    score = fields.finite(fields.present(entry, "score", where), where, "score")
    # pycocotools takes an empty list of mask results for no box
    boxed = "bbox" in entry and not (isinstance(entry["bbox"], list) and not entry["bbox"])
    box = fields.box(entry["bbox"], where) if boxed else NO_BOX
    masked = "segmentation" in entry and (masks or not boxed)
    size, string = from_rle(entry["segmentation"], where) if masked else (NO_SIZE, b"")
    return (image_id, category_id, score, box, size), string


_NO_MASK = Rle(NO_SIZE, "")
_NO_RLE = {"size": NO_SIZE, "counts": b""}
_WHOLE = {int, np.int32, np.int64}
_REAL = {float, np.float32, np.float64} | _WHOLE
_TEXT = {str, bytes}
