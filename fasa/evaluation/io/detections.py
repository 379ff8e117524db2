"""Detections as columns, from the official results JSON, our own .npz or memory; in chunks or at once, validated."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.geometry import rle
from fasa.evaluation.io.files import ZIP, ByteStream, first_bytes
from fasa.evaluation.io.npz import Format, expect, read_npz
from fasa.evaluation.io.result_columns import RawDetections, from_objects
from fasa.evaluation.io.results_json import CHUNK_BYTES, read_results

FORMAT = Format("fasa-detections", 1, "a file of detections")
POLICIES = ("all", "verified")
MASK_COLUMNS = ("size", "mask_area", "tight", "counts", "counts_start")
CHUNK_ROWS = 1 << 16


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


class DetectionSource:
    """Detections that come in chunks, as often as they are asked for.

    ``done_bytes`` of ``total_bytes`` have been read in the pass that is under way (of a list or columns: rows).
    """

    def __init__(self, name: str, total_bytes: int, policy: str = "all") -> None:
        self.name, self.total_bytes, self.policy = name, total_bytes, policy
        self.done_bytes = 0

    def chunks(self) -> Iterator[Detections]:
        """All detections in order, validated; no chunk is empty.

        Raises:
            UserError: a faulty entry, or a file that is no results file, in one sentence.
        """
        raise NotImplementedError


def open_detections(source: str | Path | list[dict[str, Any]] | Detections | DetectionSource) -> DetectionSource:
    """A source of detections: a path (official JSON, also gzipped; our .npz), a list of entries, or columns.

    Raises:
        UserError: the file is missing, cannot be read, or is a damaged .npz.
    """
    if isinstance(source, DetectionSource):
        return source
    if isinstance(source, Detections):
        return _ColumnSource(source)
    if isinstance(source, list | tuple):
        return _ListSource(source)
    if not isinstance(source, str | Path):
        raise UserError(
            f"detections are a path or a list of entries, not a {type(source).__name__}: give one of those."
        )
    path = Path(source)
    return _FileSource(path) if first_bytes(path) == ZIP else _JsonSource(path)


def load_detections(source: str | Path | list[dict[str, Any]] | Detections) -> Detections:
    """All detections at once; those of our .npz look into the mapped file.

    Raises:
        UserError: as ``open_detections`` and its chunks.
    """
    if isinstance(source, Detections):
        return source
    opened = open_detections(source)
    if isinstance(opened, _FileSource):
        return opened.detections
    return join(list(opened.chunks()), opened.name, opened.policy)


def validate(raw: RawDetections, name: str, first: int = 0, policy: str = "all") -> Detections:
    """Columns as read become a chunk of detections whose every value is sound.

    Raises:
        UserError: the first faulty entry and its field.
    """
    boxless = np.isnan(raw.box).all(axis=1)
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


def read_detections(path: Path) -> tuple[Detections, mmap.mmap]:
    """Detections whose columns look into the mapped file, and the mapping.

    Raises:
        UserError: the file is damaged, of another kind or of a newer version.
    """
    header, columns, mapping = read_npz(path, FORMAT)
    n = header.get("rows")
    if not isinstance(n, int) or header.get("policy") not in POLICIES:
        raise UserError(f"{path} is damaged (its header is incomplete): write it again.")
    layout: dict[str, tuple[Any, tuple[int, ...]]] = {
        "image_id": (np.int64, (n,)),
        "category_id": (np.int64, (n,)),
        "score": (np.float64, (n,)),
    }
    if "box" in columns:
        layout["box"] = (np.float64, (n, 4))
    if any(key in columns for key in MASK_COLUMNS):
        layout |= {"size": (np.int32, (n, 2)), "mask_area": (np.int64, (n,)), "tight": (np.int32, (n, 4))}
        layout |= {"counts": (np.uint8, (len(columns.get("counts", ())),)), "counts_start": (np.int64, (n + 1,))}
    expect(path, columns, layout)
    if "counts" in layout and columns["counts_start"][[0, -1]].tolist() != [0, len(columns["counts"])]:
        raise UserError(f"{path} is damaged (its masks begin in the wrong places): write it again.")
    own: dict[str, Any] = {key: columns[key] for key in layout}
    return Detections(str(path), **own, policy=header["policy"]), mapping


class _JsonSource(DetectionSource):
    def __init__(self, path: Path) -> None:
        super().__init__(str(path), path.stat().st_size)
        self._path = path

    def chunks(self) -> Iterator[Detections]:
        first, size = 0, 0
        parts: list[RawDetections] = []
        with ByteStream(self._path) as stream:
            try:
                for columns in read_results(stream, self.name, enough=CHUNK_BYTES):
                    self.done_bytes = stream.done
                    parts.append(columns)
                    size += columns.nbytes
                    if size >= CHUNK_BYTES:
                        whole, parts, size = RawDetections.join(parts), [], 0
                        yield validate(whole, self.name, first)
                        first += len(whole)
            except UserError:
                if parts:  # a broken mask before that comes first
                    validate(RawDetections.join(parts), self.name, first)
                raise
        if parts:
            yield validate(RawDetections.join(parts), self.name, first)


class _FileSource(DetectionSource):
    def __init__(self, path: Path) -> None:
        self.detections, self._mapping = read_detections(path)
        super().__init__(str(path), len(self._mapping), self.detections.policy)

    def chunks(self) -> Iterator[Detections]:
        n = len(self.detections)
        for begin in range(0, n, CHUNK_ROWS):
            chunk = self.detections.rows(begin, begin + CHUNK_ROWS)
            self.done_bytes = self.total_bytes * (begin + len(chunk)) // n
            yield chunk
            if hasattr(self._mapping, "madvise"):  # release the memory; a later look reads it again
                self._mapping.madvise(mmap.MADV_DONTNEED)


class _ListSource(DetectionSource):
    def __init__(self, entries: list[dict[str, Any]] | tuple[dict[str, Any], ...]) -> None:
        super().__init__("detections", len(entries))
        self._entries = entries

    def chunks(self) -> Iterator[Detections]:
        for begin in range(0, len(self._entries), CHUNK_ROWS):
            columns, fault = from_objects(self._entries[begin : begin + CHUNK_ROWS], self.name, begin)
            chunk = validate(columns, self.name, begin)
            if fault:
                raise fault
            self.done_bytes = begin + len(chunk)
            yield chunk


class _ColumnSource(DetectionSource):
    def __init__(self, detections: Detections) -> None:
        super().__init__(detections.name, len(detections), detections.policy)
        to_raw(detections)  # refuse at once what does not fit together
        self._detections = detections

    def chunks(self) -> Iterator[Detections]:
        for begin in range(0, len(self._detections), CHUNK_ROWS):
            chunk = self._detections.rows(begin, begin + CHUNK_ROWS)
            self.done_bytes = begin + len(chunk)
            yield validate(to_raw(chunk), self.name, begin, self.policy)
