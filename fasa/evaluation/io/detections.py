"""Sources of detections: the official results JSON, our own .npz or memory; in chunks or at once, validated."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.io.detection_columns import MASK_COLUMNS, POLICIES, Detections, join, to_raw, validate
from fasa.evaluation.io.files import ZIP, ByteStream, first_bytes
from fasa.evaluation.io.npz import Format, expect, read_npz
from fasa.evaluation.io.result_columns import RawDetections, from_objects
from fasa.evaluation.io.results_json import CHUNK_BYTES, read_results

FORMAT = Format("fasa-detections", 1, "a file of detections")
CHUNK_ROWS = 1 << 16


class DetectionSource:
    """Detections that come in chunks, as often as they are asked for.

    ``done_bytes`` of ``total_bytes`` have been read in the pass that is under way (of a list or columns: rows).
    """

    def __init__(self, name: str, total_bytes: int, policy: str = "all") -> None:
        self.name, self.total_bytes, self.policy = name, total_bytes, policy
        self.done_bytes = 0

    def chunks(self, masks: bool = True) -> Iterator[Detections]:
        """All detections in order, validated; no chunk is empty.

        Args:
            masks: False, for boxes, looks only at the masks of detections without a box; the others may be missing.

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


def read_detections(path: Path) -> tuple[Detections, mmap.mmap]:
    """Detections whose columns look into the mapped file, and the mapping.

    Raises:
        UserError: the file is damaged, of another kind or of a newer version.
    """
    header, columns, mapping, sealed = read_npz(path, FORMAT)
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
    detections = Detections(str(path), **own, policy=header["policy"])
    if not sealed:
        _judge(detections)
    return detections, mapping


def _judge(detections: Detections) -> None:
    """Look at every value of columns that are not as we wrote them, which takes as long as it does with JSON.

    Raises:
        UserError: the first faulty value, or masks whose areas or boxes are not theirs.
    """
    if (masks := detections.masks) is not None and (np.diff(masks.counts_start) < 0).any():
        raise UserError(f"{detections.name} is damaged (its masks begin in the wrong places): write it again.")
    for begin in range(0, len(detections), CHUNK_ROWS):
        chunk = detections.rows(begin, begin + CHUNK_ROWS)
        sound = validate(to_raw(chunk), chunk.name, begin, chunk.policy)
        if (stored := chunk.masks) is None or (found := sound.masks) is None:
            continue
        wrong = (stored.area != found.area) | (stored.tight != found.tight).any(axis=1)
        if wrong.any():
            raise UserError(
                f"{chunk.name}: detection {begin + int(np.argmax(wrong))} has a mask_area or tight box that is not its "
                "mask's: write the file with fasa's DetectionWriter."
            )


class _JsonSource(DetectionSource):
    def __init__(self, path: Path) -> None:
        super().__init__(str(path), path.stat().st_size)
        self._path = path

    def chunks(self, masks: bool = True) -> Iterator[Detections]:
        first, size = 0, 0
        parts: list[RawDetections] = []
        with ByteStream(self._path) as stream:
            try:
                for columns in read_results(stream, self.name, masks=masks, enough=CHUNK_BYTES):
                    self.done_bytes = stream.done
                    parts.append(columns)
                    size += columns.nbytes
                    if size >= CHUNK_BYTES:
                        whole, parts, size = RawDetections.join(parts), [], 0
                        yield validate(whole, self.name, first, masks=masks)
                        first += len(whole)
            except UserError:
                if parts:  # a broken mask before that comes first
                    validate(RawDetections.join(parts), self.name, first, masks=masks)
                raise
        if parts:
            yield validate(RawDetections.join(parts), self.name, first, masks=masks)


class _FileSource(DetectionSource):
    def __init__(self, path: Path) -> None:
        self.detections, self._mapping = read_detections(path)
        super().__init__(str(path), len(self._mapping), self.detections.policy)

    def chunks(self, masks: bool = True) -> Iterator[Detections]:
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

    def chunks(self, masks: bool = True) -> Iterator[Detections]:
        for begin in range(0, len(self._entries), CHUNK_ROWS):
            columns, fault = from_objects(self._entries[begin : begin + CHUNK_ROWS], self.name, begin, masks)
            chunk = validate(columns, self.name, begin, masks=masks)
            if fault:
                raise fault
            self.done_bytes = begin + len(chunk)
            yield chunk


class _ColumnSource(DetectionSource):
    def __init__(self, detections: Detections) -> None:
        super().__init__(detections.name, len(detections), detections.policy)
        to_raw(detections)  # refuse at once what does not fit together
        self._detections = detections

    def chunks(self, masks: bool = True) -> Iterator[Detections]:
        for begin in range(0, len(self._detections), CHUNK_ROWS):
            chunk = self._detections.rows(begin, begin + CHUNK_ROWS)
            self.done_bytes = begin + len(chunk)
            yield validate(to_raw(chunk), self.name, begin, self.policy, masks)
