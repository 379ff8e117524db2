"""Boxes of a few detections, read from their file again: nothing keeps those of millions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fasa.evaluation import GroundTruth, open_detections


def detection_boxes(path: Path, truth: GroundTruth, rows: np.ndarray) -> dict[int, tuple[float, ...]]:
    """x, y, w, h of the ``rows`` (n,) of the detections in images of ``truth``; its mask's own if one has none."""
    found: dict[int, tuple[float, ...]] = {}
    wanted, first = np.unique(rows), 0
    for chunk in open_detections(path).chunks(masks=False):
        there = np.flatnonzero(np.isin(chunk.image_id, truth.image_ids))
        mine = wanted[(wanted >= first) & (wanted < first + len(there))]
        for row, place in zip(mine.tolist(), there[mine - first].tolist(), strict=True):
            box = None if chunk.box is None else chunk.box[place]
            if box is None or np.isnan(box).any():
                assert chunk.tight is not None  # the scoring saw a box or a mask
                box = chunk.tight[place]
            found[row] = tuple(box.tolist())
        first += len(there)
    return found


def truth_box(truth: GroundTruth, row: int) -> tuple[float, ...]:
    """x, y, w, h of an object; its mask's own if the annotation has none."""
    box = truth.tight[row] if np.isnan(truth.box[row]).any() else truth.box[row]
    return tuple(box.tolist())
