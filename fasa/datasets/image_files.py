"""The image files of an annotations file: where they belong, which are missing, whether a sample is what it says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image as Picture

from fasa.datasets.annotation_file import Image

COCO_HOST = "http://images.cocodataset.org/"
_NAMED = 10  # files that a sentence names


def location(image: Image, federated: bool) -> str:
    """Path of an image below the folder of images: from ``coco_url``, as MMDetection cuts it, or its name.

    The images of LVIS v1's val split lie in train2017 and in val2017; only the address tells which.
    """
    return image.coco_url.replace(COCO_HOST, "") if federated else image.file_name


def missing(folder: Path, locations: Sequence[str]) -> list[str]:
    """Those of ``locations`` that are no files below ``folder``; its subfolders are listed, no file is opened."""
    paths = [PurePosixPath(path) for path in locations]
    present: set[PurePosixPath] = set()
    for parent in sorted({path.parent for path in paths}):
        try:
            with os.scandir(folder / parent) as entries:
                present |= {parent / entry.name for entry in entries if not entry.is_dir()}
        except OSError:
            continue  # an absent folder has no files
    return [str(path) for path in paths if path not in present]


def faults(folder: Path, images: Sequence[Image], locations: Sequence[str], sample: int) -> list[str]:
    """A phrase for each of ``sample`` evenly spread images that cannot be decoded or has another size."""
    found = []
    for i in np.unique(np.linspace(0, len(images) - 1, min(sample, len(images))).astype(int)):
        try:
            with Picture.open(folder / locations[i]) as picture:
                picture.load()  # the header alone does not show that a download was cut short
                width, height = picture.size  # as stored: COCO's annotations do not follow EXIF's orientation
        except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError) as error:
            found.append(f"{locations[i]} (cannot be decoded: {type(error).__name__})")
            continue
        if (width, height) != (images[i].width, images[i].height):
            found.append(f"{locations[i]} ({width} x {height}, not {images[i].width} x {images[i].height})")
    return found


def enumeration(names: Sequence[str]) -> str:
    """The first ten of ``names``, and how many more there are."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
