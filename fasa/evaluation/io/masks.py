"""Masks as JSON spells them, polygons or RLE, turned into compressed strings and into runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from pycocotools import mask as coco

from fasa.errors import UserError
from fasa.evaluation.geometry import rle
from fasa.evaluation.io import fields
from fasa.evaluation.io.annotation_json import ScoredAnnotation
from fasa.evaluation.kernels import kernels

FIELD = "segmentation"
_FARTHEST = 1e6  # pixels; a polygon's edges are drawn point by point, so a far-off vertex would fill the memory
_LONGEST_RUN = 2**32 - 1
NOT_READ = -2  # area of a mask that may be there, but was not asked for
_POLYGONS = msgspec.json.Decoder(list[list[float]])


def from_rle(value: Any, where: str) -> tuple[tuple[int, int], bytes]:
    """(height, width) and the compressed string of an RLE object; its counts are a string, bytes or a list of runs.

    The string itself is not decoded here: ``fasa.evaluation.geometry.rle.check`` checks many at once.

    Raises:
        UserError: a field is missing or of the wrong kind, or the runs of a list do not fill the mask.
    """
    if not isinstance(value, Mapping):
        raise fields.wrong(
            where,
            FIELD,
            value,
            'write a mask as RLE, {"size": [height, width], "counts": "…"}, as pycocotools.mask.encode makes it',
        )
    inside = f'{where}, in its "{FIELD}",'
    size = fields.size(fields.present(value, "size", inside), inside)
    counts = fields.present(value, "counts", inside)
    if isinstance(counts, str):
        return size, counts.encode("utf-8", "surrogatepass")
    if isinstance(counts, bytes):
        return size, counts
    if not isinstance(counts, list | tuple | np.ndarray):
        raise fields.wrong(inside, "counts", counts, "write COCO's compressed string or a list of runs")
    runs = _runs(counts, inside)
    if int(runs.sum(dtype=np.int64)) != size[0] * size[1]:
        raise UserError(f'{where}: its "{FIELD}" {rle.FAULTS[4]} ({size[0]} x {size[1]}): encode that mask again.')
    return size, coco.frPyObjects({"size": list(size), "counts": runs}, *size)["counts"]


def from_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int], where: str) -> bytes:
    """The compressed string of the union of polygons x0, y0, x1, y1, …, as ``COCO.annToRLE`` draws them.

    Raises:
        UserError: a polygon of too few points, a coordinate that is no finite number or far off, or an image of 2**32
            pixels or more, on which pycocotools writes outside its memory.
    """
    if size[0] * size[1] > _LONGEST_RUN:
        raise UserError(
            f"{where} has polygons on an image of {size[0]} x {size[1]}, and they can be drawn on fewer than 2**32 "
            "pixels: correct the image's height and width, or score boxes."
        )
    arrays: list[np.ndarray] = []
    for polygon in polygons:
        if not isinstance(polygon, Sequence) or isinstance(polygon, str):
            raise fields.wrong(where, FIELD, polygon, "write each polygon as a list x0, y0, x1, y1, …")
        if len(polygon) < 4 or (len(polygon) == 4 and not arrays):  # a line is drawn, except as the first
            raise fields.wrong(where, FIELD, polygon, "give each polygon three points (six numbers) or more")
        try:
            points = np.asarray(polygon)
            sound = points.ndim == 1 and points.dtype.kind in "iuf"  # text would be turned into numbers below
            sound = sound and bool(np.abs(points).max() <= _FARTHEST)  # False for NaN, too
        except (TypeError, ValueError, OverflowError):
            sound = False
        if not sound:
            for value in polygon:
                fields.finite(value, where, FIELD)
            raise fields.wrong(where, FIELD, polygon, f"keep its coordinates within {_FARTHEST:.0f} pixels")
        arrays.append(points.astype(np.float64, copy=False))
    drawn = coco.frPyObjects(arrays, *size)
    return drawn[0]["counts"] if len(drawn) == 1 else coco.merge(drawn)["counts"]


def masks_of_annotations(
    entries: list[ScoredAnnotation], positions: np.ndarray, sizes: np.ndarray, name: str
) -> dict[str, np.ndarray]:
    """The columns runs, run_start, mask_area and tight of ``GroundTruth``.

    Args:
        entries: the annotations, of which some or all may be without a mask (none, null or an empty list).
        positions: place of each in the file's list.
        sizes: int32 (G, 2) height and width of each one's image, zeros if they are not given.
        name: what sentences call the file.

    Raises:
        UserError: the first mask that is broken, has another size than its image, or whose image has none.
    """
    strings = []
    missing = np.zeros(len(entries), bool)
    for g, (entry, position, size) in enumerate(zip(entries, positions.tolist(), sizes.tolist(), strict=True)):
        string = _string(entry.segmentation, tuple(size), f"{name}: annotation {position}")
        missing[g] = string is None
        strings.append(string or b"")
    start = np.concatenate(([0], np.cumsum([len(string) for string in strings], dtype=np.int64)))
    counts = np.frombuffer(bytearray().join(strings), np.uint8)
    extents = np.where(missing[:, None], 0, sizes).astype(np.int32)  # an absent mask is sound
    area, tight = rle.check(counts, start, extents, lambda g: f"{name}: annotation {positions[g]}")
    runs, run_start = rle.to_runs(counts, start)
    return {"runs": runs, "run_start": run_start, "mask_area": np.where(missing, -1, area), "tight": tight}


def no_masks(objects: int) -> dict[str, np.ndarray]:
    """The same columns where masks are not read."""
    return {
        "runs": np.empty(0, np.uint32),
        "run_start": np.zeros(objects + 1, np.int64),
        "mask_area": np.full(objects, NOT_READ, np.int64),
        "tight": np.zeros((objects, 4), np.int32),
    }


def _runs(counts: Any, inside: str) -> np.ndarray:
    """Run lengths of an uncompressed mask as whole numbers."""
    try:
        runs = np.asarray(counts)
        sound = runs.ndim == 1 and runs.dtype.kind in "iu" and runs.min() >= 0 and runs.max() <= _LONGEST_RUN
    except (ValueError, OverflowError):
        sound = False
    if not sound:
        runs = np.array([fields.whole(run, inside, "counts", 0, _LONGEST_RUN) for run in counts], np.int64)
    return runs


def _string(segmentation: Any, size: tuple[int, int], where: str) -> bytes | None:
    """The compressed string of one mask of an image of ``size``, None if there is none."""
    if isinstance(segmentation, msgspec.Raw):
        content = bytes(segmentation)
        if all(size) and (drawn := kernels.draw_polygons(content, *size)) is not None:
            return drawn
        try:
            segmentation = _POLYGONS.decode(content)
        except (msgspec.MsgspecError, ValueError):
            segmentation = json.loads(content)
    if segmentation is None or (isinstance(segmentation, list) and not segmentation):
        return None
    if not all(size):
        raise UserError(
            f'{where} has a "segmentation", but its image no "height" and "width": add them, or score boxes.'
        )
    if isinstance(segmentation, list):
        return from_polygons(segmentation, size, where)
    found, string = from_rle(segmentation, where)
    if found != size:
        raise UserError(
            f'{where} has a "segmentation" of size {list(found)}, but its image is {list(size)}: correct one of them.'
        )
    return string
