"""The masks of annotations, polygons or RLE, as runs: exactly those of ``LVIS.ann_to_rle`` and ``COCO.annToRLE``."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np

from fasa.errors import UserError
from fasa.evaluation.geometry import rle
from fasa.evaluation.io import mask_entries
from fasa.evaluation.io.annotation_entries import Annotation

_POLYGONS = msgspec.json.Decoder(list[list[float]])


def masks_of(entries: list[Annotation], positions: np.ndarray, sizes: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """The columns runs, run_start, mask_area and tight of ``GroundTruth``.

    Args:
        entries: the annotations, of which some or all may be without a mask (none, null or an empty list).
        positions: place of each in the file's list.
        sizes: int32 [G, 2] height and width of each one's image.
        name: what the sentences call the file.

    Raises:
        UserError: the first mask that is broken or has another size than its image.
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
    area, tight = mask_entries.check(counts, start, extents, lambda g: f"{name}: annotation {positions[g]}")
    runs, run_start = rle.to_runs(counts, start)
    return {"runs": runs, "run_start": run_start, "mask_area": np.where(missing, -1, area), "tight": tight}


def _string(segmentation: Any, size: tuple[int, int], where: str) -> bytes | None:
    """The compressed string of one mask, None if there is none."""
    if isinstance(segmentation, msgspec.Raw):
        content = bytes(segmentation)
        try:
            segmentation = _POLYGONS.decode(content)
        except (msgspec.MsgspecError, ValueError):
            segmentation = json.loads(content)
    if segmentation is None or (isinstance(segmentation, list) and not segmentation):
        return None
    if isinstance(segmentation, list):
        return mask_entries.from_polygons(segmentation, size, where)
    found, string = mask_entries.from_rle(segmentation, where)
    if found != size:
        raise UserError(
            f'{where} has a "segmentation" of size {list(found)}, but its image is {list(size)}: mend one of the two.'
        )
    return string
