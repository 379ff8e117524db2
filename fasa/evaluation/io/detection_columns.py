"""Detections as columns, each checked: their shapes, and every value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.geometry import rle
from fasa.evaluation.io import result_columns
from fasa.evaluation.io.result_columns import RawDetections

POLICIES = ("all", "verified")
MASK_COLUMNS = ("size", "mask_area", "tight", "counts", "counts_start")


class Masks(NamedTuple):
    """The masks of n detections, as the columns of ``Detections``."""

    size: np.ndarray
    area: np.ndarray
    tight: np.ndarray
    counts: np.ndarray
    counts_start: np.ndarray


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
    # These five are None together, without any masks.
    size: np.ndarray | None = None  # int32 (n, 2) height, width of the mask
    mask_area: np.ndarray | None = None  # int64 (n,) pixels; -1: this detection has no mask
    tight: np.ndarray | None = None  # int32 (n, 4) x, y, w, h of the mask's pixels; zeros if there are none
    counts: np.ndarray | None = None  # uint8: COCO's compressed RLE strings, one after the other
    counts_start: np.ndarray | None = None  # int64 (n + 1,): where each string begins
    policy: str = "all"
    first: int = 0

    def __len__(self) -> int:
        return len(self.score)

    def select(self, kept: np.ndarray) -> Detections:
        """The rows of ``kept``, bool (n,); ``first`` no longer tells their places in the file."""
        chosen = replace(
            self,
            image_id=self.image_id[kept],
            category_id=self.category_id[kept],
            score=self.score[kept],
            box=None if self.box is None else self.box[kept],
        )
        if (masks := self.masks) is None:
            return chosen
        length = np.diff(masks.counts_start)
        return replace(
            chosen,
            size=masks.size[kept],
            mask_area=masks.area[kept],
            tight=masks.tight[kept],
            counts=masks.counts[np.repeat(kept, length)],
            counts_start=np.concatenate(([0], np.cumsum(length[kept]))),
        )

    @property
    def masks(self) -> Masks | None:
        """The five columns of masks, if there are any.

        Raises:
            UserError: there are only some of them.
        """
        found = [column for key in MASK_COLUMNS if (column := getattr(self, key)) is not None]
        if not found:
            return None
        if len(found) < len(MASK_COLUMNS):
            given = ", ".join(key for key in MASK_COLUMNS if getattr(self, key) is not None)
            raise UserError(f"{self.name} has only {given} of its masks: give {', '.join(MASK_COLUMNS)}.")
        return Masks(*found)

    def rows(self, begin: int, end: int) -> Detections:
        """Rows ``begin`` to ``end`` as a chunk that looks into these columns."""
        rows = slice(begin, min(end, len(self)))
        chunk = replace(
            self,
            image_id=self.image_id[rows],
            category_id=self.category_id[rows],
            score=self.score[rows],
            box=None if self.box is None else self.box[rows],
            first=self.first + begin,
        )
        if (masks := self.masks) is None:
            return chunk
        start = masks.counts_start[begin : rows.stop + 1]
        return replace(
            chunk,
            size=masks.size[rows],
            mask_area=masks.area[rows],
            tight=masks.tight[rows],
            counts=masks.counts[start[0] : start[-1]],
            counts_start=start - start[0],
        )


def validate(raw: RawDetections, name: str, first: int = 0, policy: str = "all", masks: bool = True) -> Detections:
    """Columns as read become a chunk of detections whose every value is sound.

    Args:
        masks: False drops the masks of detections that have a box, unseen.

    Raises:
        UserError: the first faulty entry and its field.
    """
    boxless = np.isnan(raw.box).all(axis=1)
    if not masks:
        raw = result_columns.without_masks(raw, ~boxless)
    masked = raw.size[:, 0] > 0
    bad_box = ~boxless & ~(np.isfinite(raw.box).all(axis=1) & (raw.box[:, 2:] >= 0).all(axis=1))
    for field, fault in (("score", ~np.isfinite(raw.score)), ("bbox", bad_box)):
        if fault.any():
            i = int(np.argmax(fault))
            fix = "a finite number" if field == "score" else "four finite numbers x, y, w, h, no side negative"
            raise UserError(f'{name}: detection {first + i} has a faulty "{field}": write {fix}.')
    if policy == "all" and (boxless & ~masked).any():
        i = int(np.argmax(boxless & ~masked))
        raise UserError(f'{name}: detection {first + i} has neither a "segmentation" nor a "bbox": add one.')
    chunk = Detections(
        name,
        raw.image_id,
        raw.category_id,
        raw.score,
        box=None if boxless.all() else raw.box,
        policy=policy,
        first=first,
    )
    if not masked.any() and policy == "all":
        return chunk
    size = raw.size.astype(np.int32)
    start = np.concatenate(([0], np.cumsum(raw.length)))
    area, tight = rle.check(raw.counts, start, size, lambda i: f"{name}: detection {first + i}")
    area[~masked] = -1
    return replace(chunk, size=size, mask_area=area, tight=tight, counts=raw.counts, counts_start=start)


def to_raw(detections: Detections) -> RawDetections:
    """The columns of ``detections`` that a user put together, their shapes and dtypes checked.

    Raises:
        UserError: a column is missing or has another length or kind of number than the rest asks for.
    """
    n, name, masks = len(detections), detections.name, detections.masks
    if detections.policy not in POLICIES:
        raise UserError(f"{name} has policy {detections.policy!r}: choose one of {', '.join(POLICIES)}.")
    _check_column(name, "image_id", detections.image_id, "iu", (n,))
    _check_column(name, "category_id", detections.category_id, "iu", (n,))
    _check_column(name, "score", detections.score, "iuf", (n,))
    if detections.box is not None:
        _check_column(name, "box", detections.box, "iuf", (n, 4))
    size, counts = np.zeros((n, 2), np.int64), np.empty(0, np.uint8)
    length: np.ndarray = np.zeros(n, np.int64)
    if masks is not None:
        _check_column(name, "size", masks.size, "iu", (n, 2))
        _check_column(name, "mask_area", masks.area, "iu", (n,))
        _check_column(name, "tight", masks.tight, "iu", (n, 4))
        _check_column(name, "counts", masks.counts, "B", (len(masks.counts),))
        _check_column(name, "counts_start", masks.counts_start, "iu", (n + 1,))
        masked, length = masks.area >= 0, np.diff(masks.counts_start)
        size[masked] = masks.size[masked]
        counts = np.ascontiguousarray(masks.counts)
        ends = int(masks.counts_start[0]), int(masks.counts_start[-1])
        if ends != (0, len(counts)) or (length < 0).any() or (size[masked] < 1).any() or length[~masked].any():
            raise UserError(f"{name}: its columns of masks contradict each other: make them again.")
    return RawDetections(
        np.ascontiguousarray(detections.image_id, np.int64),
        np.ascontiguousarray(detections.category_id, np.int64),
        np.ascontiguousarray(detections.score, np.float64),
        np.full((n, 4), np.nan) if detections.box is None else np.ascontiguousarray(detections.box, np.float64),
        size,
        length,
        counts,
    )


def _check_column(name: str, key: str, column: Any, kinds: str, shape: tuple[int, ...]) -> None:
    """Raise a UserError unless ``column`` is an array of ``shape`` of one of numpy's ``kinds``, or of that dtype."""
    fits = isinstance(column, np.ndarray) and (column.dtype.kind in kinds or column.dtype.char == kinds)
    if not fits or column.shape != shape:
        raise UserError(f"{name}: its column {key!r} is misshapen: give numbers of shape {shape}.")


def join(chunks: Sequence[Detections], name: str, policy: str = "all") -> Detections:
    """Chunks of one file as one; any number of them."""
    parts = [chunk for chunk in chunks if len(chunk)]
    whole = RawDetections.join([RawDetections.of((), (), (), (), (), ()), *(to_raw(part) for part in parts)])
    boxed = any(part.box is not None for part in parts)
    joined = Detections(
        name, whole.image_id, whole.category_id, whole.score, whole.box if boxed else None, policy=policy
    )
    masks = [(len(part), part.masks) for part in parts]
    if all(own is None for _, own in masks):
        return joined
    return replace(
        joined,
        size=whole.size.astype(np.int32),
        mask_area=np.concatenate([np.full(n, -1, np.int64) if own is None else own.area for n, own in masks]),
        tight=np.concatenate([np.zeros((n, 4), np.int32) if own is None else own.tight for n, own in masks]),
        counts=whole.counts,
        counts_start=np.concatenate(([0], np.cumsum(whole.length))),
    )
