"""Detections as columns, and the judge of every column, whatever it was read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.io import mask_entries
from fasa.evaluation.io.result_columns import Columns

POLICIES = ("all", "verified")
MASK_COLUMNS = ("size", "mask_area", "tight", "counts", "counts_start")


@dataclass(frozen=True)
class Detections:
    """n detections as columns, in the order of the file; ``name`` is the file's path, for messages.

    ``policy`` "verified": there are masks only for the (image, class) pairs that the annotations judge; "all": masks
    were left out for no such reason. ``first`` is the place of row 0 in the whole file, for a chunk of it.
    """

    name: str
    image_id: np.ndarray  # int64 (n,)
    category_id: np.ndarray  # int64 (n,)
    score: np.ndarray  # float64 (n,)
    box: np.ndarray | None = None  # float64 (n, 4) x, y, w, h; a row of NaN where an entry has none; None: none has one
    size: np.ndarray | None = (
        None  # int32 (n, 2) height, width of the mask; None, and the four below, without any masks
    )
    mask_area: np.ndarray | None = None  # int64 (n,) pixels; -1: this detection has no mask
    tight: np.ndarray | None = None  # int32 (n, 4) x, y, w, h of the mask's pixels; zeros if there are none
    counts: np.ndarray | None = None  # uint8: COCO's compressed RLE strings, one after the other
    counts_start: np.ndarray | None = None  # int64 (n + 1,): where each string begins
    policy: str = "all"
    first: int = 0

    def __len__(self) -> int:
        return len(self.score)

    def rows(self, begin: int, end: int) -> Detections:
        """Rows ``begin`` to ``end`` as a chunk that looks into these columns."""
        end = min(end, len(self))
        cut = {
            key: column[begin:end]
            for key in ("image_id", "category_id", "score", "box", "size", "mask_area", "tight")
            if (column := getattr(self, key)) is not None
        }
        if self.counts is not None:
            start = self.counts_start[begin : end + 1]
            cut |= {"counts": self.counts[start[0] : start[-1]], "counts_start": start - start[0]}
        return replace(self, **cut, first=self.first + begin)


def judge(columns: Columns, name: str, first: int = 0, policy: str = "all") -> Detections:
    """Columns as read, turned into a chunk of detections whose every value is sound.

    Raises:
        UserError: the first entry at fault and its field.
    """
    boxless = np.isnan(columns.box).all(axis=1)
    masked = columns.size[:, 0] > 0
    bad_box = ~boxless & ~(np.isfinite(columns.box).all(axis=1) & (columns.box[:, 2:] >= 0).all(axis=1))
    for field, fault in (("score", ~np.isfinite(columns.score)), ("bbox", bad_box)):
        if fault.any():
            i = int(np.argmax(fault))
            mend = "a finite number" if field == "score" else "four finite numbers x, y, w, h, no side negative"
            raise UserError(f'{name}: detection {first + i} has a faulty "{field}": write {mend}.')
    if policy == "all" and (boxless & ~masked).any():
        i = int(np.argmax(boxless & ~masked))
        raise UserError(f'{name}: detection {first + i} has neither a "segmentation" nor a "bbox": add one.')
    chunk = Detections(
        name,
        columns.image_id,
        columns.category_id,
        columns.score,
        box=None if boxless.all() else columns.box,
        policy=policy,
        first=first,
    )
    if not masked.any() and policy == "all":
        return chunk
    size = columns.size.astype(np.int32)
    start = np.concatenate(([0], np.cumsum(columns.length)))
    area, tight = mask_entries.check(columns.counts, start, size, lambda i: f"{name}: detection {first + i}")
    area[~masked] = -1
    return replace(chunk, size=size, mask_area=area, tight=tight, counts=columns.counts, counts_start=start)


def columns_of(detections: Detections) -> Columns:
    """The columns of ``detections`` that someone put together, their shapes and dtypes checked.

    Raises:
        UserError: a column is missing or has another length or kind of number than the rest asks for.
    """
    n = len(detections)
    if detections.policy not in POLICIES:
        raise UserError(f"{detections.name} has policy {detections.policy!r}: choose one of {', '.join(POLICIES)}.")
    masks = [key for key in MASK_COLUMNS if getattr(detections, key) is not None]
    if masks and len(masks) < len(MASK_COLUMNS):
        raise UserError(f"{detections.name} has only {', '.join(masks)} of its masks: give {', '.join(MASK_COLUMNS)}.")
    layout = {"image_id": ("iu", (n,)), "category_id": ("iu", (n,)), "score": ("iuf", (n,))}
    if detections.box is not None:
        layout["box"] = ("iuf", (n, 4))
    if masks:
        layout |= {"size": ("iu", (n, 2)), "mask_area": ("iu", (n,)), "tight": ("iu", (n, 4))}
        layout |= {"counts": ("B", (len(detections.counts),)), "counts_start": ("iu", (n + 1,))}
    for key, (kinds, shape) in layout.items():  # kinds of numpy's, or one of its characters
        column = getattr(detections, key)
        fits = isinstance(column, np.ndarray) and (column.dtype.kind in kinds or column.dtype.char == kinds)
        if not fits or column.shape != shape:
            raise UserError(f"{detections.name}: its column {key!r} is misshapen: give numbers of shape {shape}.")
    size, length, counts = np.zeros((n, 2), np.int64), np.zeros(n, np.int64), np.empty(0, np.uint8)
    if masks:
        masked, length = detections.mask_area >= 0, np.diff(detections.counts_start)
        size[masked] = detections.size[masked]
        counts = np.ascontiguousarray(detections.counts)
        ends = int(detections.counts_start[0]), int(detections.counts_start[-1])
        if ends != (0, len(counts)) or (length < 0).any() or (size[masked] < 1).any() or length[~masked].any():
            raise UserError(f"{detections.name}: its columns of masks contradict each other: make them anew.")
    return Columns(
        np.ascontiguousarray(detections.image_id, np.int64),
        np.ascontiguousarray(detections.category_id, np.int64),
        np.ascontiguousarray(detections.score, np.float64),
        np.full((n, 4), np.nan) if detections.box is None else np.ascontiguousarray(detections.box, np.float64),
        size,
        length,
        counts,
    )


def join(chunks: Sequence[Detections], name: str, policy: str = "all") -> Detections:
    """Chunks of one file as one; any number of them."""
    parts = [chunk for chunk in chunks if len(chunk)]
    boxed = any(part.box is not None for part in parts)
    masked = any(part.size is not None for part in parts)
    whole = Columns.join([_EMPTY, *(columns_of(part) for part in parts)])
    joined = Detections(
        name, whole.image_id, whole.category_id, whole.score, whole.box if boxed else None, policy=policy
    )
    if not masked:
        return joined
    blank = {"mask_area": ((), -1, np.int64), "tight": ((4,), 0, np.int32)}
    filled = {
        key: np.concatenate(
            [
                np.full((len(part), *shape), value, dtype) if getattr(part, key) is None else getattr(part, key)
                for part in parts
            ]
        )
        for key, (shape, value, dtype) in blank.items()
    }
    start = np.concatenate(([0], np.cumsum(whole.length)))
    return replace(joined, size=whole.size.astype(np.int32), **filled, counts=whole.counts, counts_start=start)


_EMPTY = Columns(
    np.empty(0, np.int64),
    np.empty(0, np.int64),
    np.empty(0, np.float64),
    np.empty((0, 4)),
    np.empty((0, 2), np.int64),
    np.empty(0, np.int64),
    np.empty(0, np.uint8),
)
