"""Detections written to files: image by image as inference makes them, or converted from another file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec
import numpy as np

from fasa import atomic
from fasa.errors import UserError
from fasa.evaluation.geometry.rle import encode
from fasa.evaluation.io import fields
from fasa.evaluation.io.detection_columns import MASK_COLUMNS, POLICIES, Detections, validate
from fasa.evaluation.io.detections import FORMAT, open_detections
from fasa.evaluation.io.ground_truth import GroundTruth
from fasa.evaluation.io.masks import from_rle
from fasa.evaluation.io.npz import Spool, write_npz
from fasa.evaluation.io.result_columns import NO_BOX, NO_SIZE, Entry, RawDetections, Rle


class DetectionWriter:
    """Writes our .npz of detections in bounded memory; the file appears whole, and only when all went well.

    Use it as a context manager: after an exception inside, or a kill, there is no file, and an older one is as it was.

    ``policy`` says which masks are stored. "all" keeps every mask, which TIDE needs. "verified" keeps the masks of the
    (image, class) pairs that ``annotations`` judge, annotated or known to be absent: no protocol of AP looks at others,
    and of the rest only at the scores. On LVIS that saves more than half of the encoding of masks, the slowest part.
    ``judged`` says which these are, so that a detector need not even make the others.

    Args:
        path: the file to write.
        annotations: what "verified" is decided by; with them, images that they do not list and masks of another size
            than their image are refused at once, and not after hours by the scoring.
        policy: "all" or "verified".

    Raises:
        UserError: the folder cannot be written, or "verified" has no annotations.
    """

    def __init__(self, path: str | Path, annotations: GroundTruth | None = None, policy: str = "all") -> None:
        if policy not in POLICIES:
            raise UserError(f"policy is one of {', '.join(POLICIES)}, not {policy!r}.")
        if policy == "verified" and annotations is None:
            raise UserError("policy 'verified' is decided by the annotations: give them.")
        self._name = str(path)
        self._annotations = annotations
        self._policy = policy
        self._spool = _DetectionSpool(Path(path), policy)
        self._rows = 0
        self._open = True

    def judged(self, image_id: int, category_ids: Any) -> np.ndarray:
        """Which detections of these classes in this image need a mask, bool (k,).

        Raises:
            UserError: the annotations do not know the image.
        """
        category_ids = np.asarray(category_ids).reshape(-1)
        image, truth = self._image(image_id), self._annotations
        if self._policy == "all" or truth is None:
            return np.ones(len(category_ids), bool)
        category = np.minimum(np.searchsorted(truth.category_ids, category_ids), len(truth.category_ids) - 1)
        return truth.verified[image, category] & (truth.category_ids[category] == category_ids)

    def _image(self, image_id: int) -> int:
        """Place of the image in the annotations; 0 without annotations."""
        if (truth := self._annotations) is None:
            return 0
        image = int(np.searchsorted(truth.image_ids, image_id))
        if image == len(truth.image_ids) or truth.image_ids[image] != image_id:
            raise UserError(f"image_id {image_id} is not in {truth.name}: write detections of its images.")
        return image

    def _size(self, image_id: int) -> tuple[int, ...]:
        """Height and width of the image, nothing where they are not known."""
        if self._annotations is None:
            return ()
        size = tuple(self._annotations.image_sizes[self._image(image_id)].tolist())
        return size if all(size) else ()

    def add(self, image_id: int, category_ids: Any, scores: Any, boxes: Any = None, masks: Any = None) -> None:
        """Add the k detections of an image; an image may come in parts.

        Args:
            category_ids: k whole numbers.
            scores: k finite numbers.
            boxes: (k, 4) x, y, width, height in pixels, or None.
            masks: k masks as COCO's RLE objects, or bool (k, height, width) at the image's size, or None. Under
                "verified" only those that are ``judged`` are looked at; of a list the others may be None.

        Raises:
            UserError: a value is missing or faulty; the file is not written then.
        """
        if not self._open:
            raise UserError(f"{self._name} is closed: add detections before that.")
        where = f"{self._name}: the detections of image {image_id}"
        image_id = fields.whole(image_id, self._name, "image_id")
        category_ids, scores = np.asarray(category_ids), np.asarray(scores)
        n = len(scores) if scores.ndim == 1 else -1
        boxes = np.full((max(n, 0), 4), NO_BOX) if boxes is None else np.asarray(boxes)
        shapes_fit = category_ids.shape == (n,) and boxes.shape in {(n, 4)} | ({(0,)} if n == 0 else set())
        kinds_fit = n == 0 or (
            category_ids.dtype.kind in "iu" and scores.dtype.kind in "iuf" and boxes.dtype.kind in "iuf"
        )
        if not shapes_fit or not kinds_fit or (masks is not None and len(masks) != n):
            raise UserError(
                f"{where} do not fit together: give k whole category_ids, k scores, boxes of shape (k, 4), and k masks."
            )
        sizes, strings = [NO_SIZE] * n, [b""] * n
        chosen = np.flatnonzero(self.judged(image_id, category_ids)).tolist()
        if masks is not None and n:
            expected = self._size(image_id)
            for i, (size, string) in zip(chosen, encode_masks(masks, chosen, where), strict=True):
                if expected and tuple(size) != expected:
                    raise UserError(
                        f"{where} have a mask of size {list(size)}, but the image is {list(expected)} in the "
                        "annotations: write masks at the size of the original image."
                    )
                sizes[i], strings[i] = size, string
        raw = RawDetections.of(np.full(n, image_id), category_ids, scores, boxes, sizes, strings)
        self._spool.append(validate(raw, self._name, self._rows, self._policy))
        self._rows += n

    def close(self) -> None:
        """Write the file; more cannot be added then."""
        if self._open:
            try:
                self._spool.write()
            finally:
                self.abandon()

    def abandon(self) -> None:
        """Drop what was added, without writing the file."""
        self._open = False
        self._spool.close()

    def __enter__(self) -> DetectionWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def save_detections(detections: Any, path: str | Path) -> None:
    """Write what ``open_detections`` accepts as our .npz, in bounded memory; the file appears whole or not at all."""
    source = open_detections(detections)
    spool = _DetectionSpool(Path(path), source.policy)
    try:
        for chunk in source.chunks():
            spool.append(chunk)
        spool.write()
    finally:
        spool.close()


def write_results_json(detections: Any, path: str | Path) -> None:
    """Write what ``open_detections`` accepts in the official results format.

    Raises:
        UserError: the detections lack the masks of unjudged classes, which the format cannot leave out.
    """
    source = open_detections(detections)
    if source.policy != "all":
        raise UserError(
            f"{source.name} holds masks of judged classes only (policy {source.policy!r}), which the official format "
            "cannot express: write the detections with policy 'all'."
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
    if (masks := chunk.masks) is not None:
        text, start, size = masks.counts.tobytes().decode("ascii"), masks.counts_start.tolist(), masks.size.tolist()
        for i in np.flatnonzero(masks.area >= 0):
            entries[i].segmentation = Rle(tuple(size[i]), text[start[i] : start[i + 1]])
    return entries


class _DetectionSpool:
    """Takes chunks of detections, then writes them as one file."""

    def __init__(self, path: Path, policy: str) -> None:
        self._path, self._policy = path, policy
        self._spool = Spool(path)
        self._rows = 0
        self._bytes = 0
        for key, dtype in (("image_id", np.int64), ("category_id", np.int64), ("score", np.float64)):
            self._spool.append(key, np.empty(0, dtype))  # an unwritable folder is refused now, not after hours

    def append(self, chunk: Detections) -> None:
        """Add a validated chunk."""
        spool, n = self._spool, len(chunk)
        for key in ("image_id", "category_id", "score"):
            spool.append(key, getattr(chunk, key))
        if chunk.box is not None:
            if "box" not in spool:
                spool.fill("box", self._rows, np.nan, np.float64, (4,))
            spool.append("box", chunk.box)
        elif "box" in spool:
            spool.fill("box", n, np.nan, np.float64, (4,))
        if (masks := chunk.masks) is not None:
            if "size" not in spool:
                spool.append("counts_start", np.zeros(1, np.int64))
                self._fill_masks(self._rows)
            spool.append("size", masks.size)
            spool.append("mask_area", masks.area)
            spool.append("tight", masks.tight)
            spool.append("counts", masks.counts)
            spool.append("counts_start", masks.counts_start[1:] + self._bytes)
            self._bytes += len(masks.counts)
        elif "size" in spool:
            self._fill_masks(n)
        self._rows += n

    def _fill_masks(self, rows: int) -> None:
        self._spool.append("counts", np.empty(0, np.uint8))
        blank: tuple[tuple[str, int, Any, tuple[int, ...]], ...] = (
            ("size", 0, np.int32, (2,)),
            ("mask_area", -1, np.int64, ()),
            ("tight", 0, np.int32, (4,)),
            ("counts_start", self._bytes, np.int64, ()),
        )
        for key, value, dtype, shape in blank:
            self._spool.append(key, np.empty((0, *shape), dtype))
            self._spool.fill(key, rows, value, dtype, shape)

    def write(self) -> None:
        """Write the file, whole or not at all."""
        keys = [key for key in ("image_id", "category_id", "score", "box", *MASK_COLUMNS) if key in self._spool]
        columns = {key: self._spool.member(key) for key in keys}
        write_npz(self._path, FORMAT, {"policy": self._policy, "rows": self._rows}, columns)

    def close(self) -> None:
        """Delete what was spooled."""
        self._spool.close()


def encode_masks(masks: Any, chosen: Sequence[int], where: str) -> list[tuple[tuple[int, int], bytes]]:
    """(height, width) and compressed string of the chosen masks, of RLE objects or bool (k, height, width).

    Raises:
        UserError: they are neither; ``where`` is what the sentence calls them.
    """
    if isinstance(masks, list | tuple) and not (masks and isinstance(masks[0], np.ndarray)):
        return [from_rle(masks[i], f"{where}: mask {i}") for i in chosen]
    masks = np.asarray(masks)
    if masks.ndim != 3 or masks.dtype.kind not in "b" or 0 in masks.shape[1:]:
        raise UserError(
            f"{where} have masks of shape {masks.shape} and type {masks.dtype}: give bool (k, height, width)."
        )
    return [(masks.shape[1:], string) for string in encode(masks[list(chosen)])] if chosen else []
