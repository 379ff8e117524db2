"""Many small images as a few lossless WebP contact sheets: about half their raw size."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

COLUMNS = ROWS = 20  # one image alone is too small for WebP to learn its statistics from; larger sheets gain no more
METHOD, QUALITY = 4, 75  # for lossless WebP both are effort; more takes 3 to 30 times as long and saves 1%


def sheet_count(images: int) -> int:
    """Number of sheets that ``images`` images fill."""
    return -(-images // (COLUMNS * ROWS))


def encode_sheets(images: np.ndarray) -> Iterator[bytes]:
    """Yield one WebP file for every 400 of the images, uint8 [N, 3, H, W]; the same images give the same bytes."""
    _, channels, height, width = images.shape
    for start in range(0, len(images), COLUMNS * ROWS):
        tiles = images[start : start + COLUMNS * ROWS]
        rows = -(-len(tiles) // COLUMNS)
        sheet = np.zeros((rows * COLUMNS, channels, height, width), dtype=np.uint8)
        sheet[: len(tiles)] = tiles
        sheet = sheet.reshape(rows, COLUMNS, channels, height, width).transpose(0, 3, 1, 4, 2)
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(sheet).reshape(rows * height, COLUMNS * width, channels)).save(
            stream, "WEBP", lossless=True, method=METHOD, quality=QUALITY
        )
        yield stream.getvalue()


def decode_sheet(content: bytes, height: int, width: int) -> np.ndarray:
    """The tiles of one sheet, uint8 [n, 3, H, W], with the blank ones that fill its last row.

    Raises:
        OSError or ValueError: it is no WebP image, or its size is no multiple of the tiles'.
    """
    with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
        sheet = np.asarray(image.convert("RGB"))
    tiles = sheet.reshape(-1, height, COLUMNS, width, 3).transpose(0, 2, 4, 1, 3)
    return tiles.reshape(-1, 3, height, width)
