"""Detections from the official results JSON, our own .npz or memory, in chunks or at once; and back to files."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from fasa import atomic
from fasa.errors import UserError
from fasa.evaluation.io.detection_columns import Detections, columns_of, join, judge
from fasa.evaluation.io.detection_file import DetectionSpool, read_detections
from fasa.evaluation.io.result_columns import Columns, Entry, Rle, from_objects
from fasa.evaluation.io.results_json import read_results
from fasa.evaluation.io.streams import ZIP, ByteStream, first_bytes

__all__ = [
    "DetectionSource",
    "Detections",
    "load_detections",
    "open_detections",
    "save_detections",
    "write_results_json",
]

CHUNK_BYTES = 24 << 20  # of columns: about 32 MB of JSON
CHUNK_ROWS = 1 << 16


class DetectionSource:
    """Detections that come in chunks, as often as one asks.

    ``done_bytes`` of ``total_bytes`` have been read in the pass that is under way (of a list or columns: rows).
    """

    def __init__(self, name: str, total_bytes: int, policy: str = "all") -> None:
        self.name, self.total_bytes, self.policy = name, total_bytes, policy
        self.done_bytes = 0

    def chunks(self) -> Iterator[Detections]:
        """All detections in order, judged; no chunk is empty.

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
    """All detections at once; those of our .npz look into the mapped file."""
    if isinstance(source, Detections):
        return source
    opened = open_detections(source)
    if isinstance(opened, _FileSource):
        return opened.detections
    return join(list(opened.chunks()), opened.name, opened.policy)


def save_detections(detections: Any, path: str | Path) -> None:
    """Write what ``open_detections`` takes as our .npz, in bounded memory; the file appears whole or not at all."""
    source = open_detections(detections)
    spool = DetectionSpool(Path(path), source.policy)
    try:
        for chunk in source.chunks():
            spool.append(chunk)
        spool.write()
    finally:
        spool.close()


def write_results_json(detections: Any, path: str | Path) -> None:
    """Write what ``open_detections`` takes in the official results format.

    Raises:
        UserError: the detections lack the masks of classes that nobody judges, which the format cannot leave out.
    """
    source = open_detections(detections)
    if source.policy != "all":
        raise UserError(
            f"{source.name} holds masks of judged classes only (policy {source.policy!r}), which the official format "
            "cannot say: write the detections with policy 'all'."
        )

    def write(stream: BinaryIO) -> None:
        separator = b"["
        for chunk in source.chunks():
            for begin in range(0, len(chunk), 4096):
                stream.write(separator + msgspec.json.encode(_entries(chunk.rows(begin, begin + 4096)))[1:-1])
                separator = b",\n"
        stream.write(b"[]\n" if separator == b"[" else b"]\n")

    atomic.write(Path(path), write)


def _entries(chunk: Detections) -> list[Entry]:
    entries = [
        Entry(*row)
        for row in zip(chunk.image_id.tolist(), chunk.category_id.tolist(), chunk.score.tolist(), strict=True)
    ]
    if chunk.box is not None:
        for i in np.flatnonzero(~np.isnan(chunk.box[:, 0])):
            entries[i].bbox = tuple(chunk.box[i].tolist())
    if chunk.size is not None:
        text, start, size = chunk.counts.tobytes().decode("ascii"), chunk.counts_start.tolist(), chunk.size.tolist()
        for i in np.flatnonzero(chunk.mask_area >= 0):
            entries[i].segmentation = Rle(tuple(size[i]), text[start[i] : start[i + 1]])
    return entries


class _JsonSource(DetectionSource):
    def __init__(self, path: Path) -> None:
        super().__init__(str(path), path.stat().st_size)
        self._path = path

    def chunks(self) -> Iterator[Detections]:
        first, parts, size = 0, [], 0
        with ByteStream(self._path) as stream:
            try:
                for columns in read_results(stream, self.name):
                    self.done_bytes = stream.done
                    parts.append(columns)
                    size += columns.nbytes
                    if size >= CHUNK_BYTES:
                        whole, parts, size = Columns.join(parts), [], 0
                        yield judge(whole, self.name, first)
                        first += len(whole)
            except UserError:
                if parts:  # a broken mask before that is the first mistake
                    judge(Columns.join(parts), self.name, first)
                raise
        if parts:
            yield judge(Columns.join(parts), self.name, first)


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
            if hasattr(self._mapping, "madvise"):  # what was read may leave the memory; a late look reads it again
                self._mapping.madvise(mmap.MADV_DONTNEED)


class _ListSource(DetectionSource):
    def __init__(self, entries: list[dict[str, Any]] | tuple[dict[str, Any], ...]) -> None:
        super().__init__("detections", len(entries))
        self._entries = entries

    def chunks(self) -> Iterator[Detections]:
        for begin in range(0, len(self._entries), CHUNK_ROWS):
            columns, fault = from_objects(self._entries[begin : begin + CHUNK_ROWS], self.name, begin)
            chunk = judge(columns, self.name, begin)
            if fault:
                raise fault
            self.done_bytes = begin + len(chunk)
            yield chunk


class _ColumnSource(DetectionSource):
    def __init__(self, detections: Detections) -> None:
        super().__init__(detections.name, len(detections), detections.policy)
        columns_of(detections)  # whether the columns fit together is told at once
        self._detections = detections

    def chunks(self) -> Iterator[Detections]:
        for begin in range(0, len(self._detections), CHUNK_ROWS):
            chunk = self._detections.rows(begin, begin + CHUNK_ROWS)
            self.done_bytes = begin + len(chunk)
            yield judge(columns_of(chunk), self.name, begin, self.policy)
