"""Detections in our own file: written chunk by chunk in bounded memory, read without copying."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.io.columns import Format, expect, read_columns, write_columns
from fasa.evaluation.io.detection_columns import MASK_COLUMNS, POLICIES, Detections
from fasa.evaluation.io.spool import Spool

FORMAT = Format("fasa-detections", 1, "a file of detections")


class DetectionSpool:
    """Takes chunks of detections, then writes them as one file."""

    def __init__(self, path: Path, policy: str) -> None:
        self._path, self._policy = path, policy
        self._spool = Spool(path)
        self._rows = 0
        self._bytes = 0
        for key, dtype in (("image_id", np.int64), ("category_id", np.int64), ("score", np.float64)):
            self._spool.append(key, np.empty(0, dtype))  # an unwritable folder is told now, not after hours

    def append(self, chunk: Detections) -> None:
        """Add a judged chunk (``fasa.evaluation.io.detection_columns.judge``)."""
        spool, n = self._spool, len(chunk)
        for key in ("image_id", "category_id", "score"):
            spool.append(key, getattr(chunk, key))
        if chunk.box is not None:
            if "box" not in spool:
                spool.fill("box", self._rows, np.nan, np.float64, (4,))
            spool.append("box", chunk.box)
        elif "box" in spool:
            spool.fill("box", n, np.nan, np.float64, (4,))
        if chunk.size is not None:
            if "size" not in spool:
                spool.append("counts_start", np.zeros(1, np.int64))
                self._fill_masks(self._rows)
            for key in ("size", "mask_area", "tight", "counts"):
                spool.append(key, getattr(chunk, key))
            spool.append("counts_start", chunk.counts_start[1:] + self._bytes)
            self._bytes += len(chunk.counts)
        elif "size" in spool:
            self._fill_masks(n)
        self._rows += n

    def _fill_masks(self, rows: int) -> None:
        self._spool.append("counts", np.empty(0, np.uint8))
        for key, value, dtype, shape in (
            ("size", 0, np.int32, (2,)),
            ("mask_area", -1, np.int64, ()),
            ("tight", 0, np.int32, (4,)),
            ("counts_start", self._bytes, np.int64, ()),
        ):
            self._spool.append(key, np.empty((0, *shape), dtype))
            self._spool.fill(key, rows, value, dtype, shape)

    def write(self) -> None:
        """Write the file, whole or not at all."""
        keys = [key for key in ("image_id", "category_id", "score", "box", *MASK_COLUMNS) if key in self._spool]
        columns = {key: self._spool.column(key) for key in keys}
        write_columns(self._path, FORMAT, {"policy": self._policy, "rows": self._rows}, columns)

    def close(self) -> None:
        """Let go of what was spooled."""
        self._spool.close()


def read_detections(path: Path) -> tuple[Detections, mmap.mmap]:
    """Detections whose columns look into the mapped file, and the mapping.

    Raises:
        UserError: the file is damaged, of another kind or of a newer version.
    """
    header, columns, mapping = read_columns(path, FORMAT)
    n = header.get("rows")
    if not isinstance(n, int) or header.get("policy") not in POLICIES:
        raise UserError(f"{path} is damaged (its header misses what belongs there): write it again.")
    layout = {"image_id": (np.int64, (n,)), "category_id": (np.int64, (n,)), "score": (np.float64, (n,))}
    if "box" in columns:
        layout["box"] = (np.float64, (n, 4))
    if any(key in columns for key in MASK_COLUMNS):
        layout |= {"size": (np.int32, (n, 2)), "mask_area": (np.int64, (n,)), "tight": (np.int32, (n, 4))}
        layout |= {"counts": (np.uint8, (len(columns.get("counts", ())),)), "counts_start": (np.int64, (n + 1,))}
    expect(path, columns, layout)
    if "counts" in layout and columns["counts_start"][[0, -1]].tolist() != [0, len(columns["counts"])]:
        raise UserError(f"{path} is damaged (its masks begin where there are none): write it again.")
    return Detections(str(path), **{key: columns[key] for key in layout}, policy=header["policy"]), mapping
