"""Pictures of a run's detections beside the truth, small enough to keep: what the qualitative figure is drawn from."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture
from pycocotools import mask as coco

from fasa.errors import UserError
from fasa.evaluation import Detections, GroundTruth
from fasa.evaluation.geometry.rle import encode

CLASSES = 6
LONGEST_SIDE = 480  # pixels of a thumbnail
LEAST_SCORE = 0.3
MOST_FOUND = 10


def examples(
    truth: GroundTruth, detections: Detections, image_paths: Mapping[int, str], instance_counts: np.ndarray
) -> list[dict[str, Any]]:
    """The examples of a run, ready for JSON: the same images for every run, for the annotations alone choose them.

    Each has the ``category``, its ``frequency`` letter, ``image_id``, ``width``, ``height``, the thumbnail as ``jpeg``
    in base64, the class's objects as ``truth`` and, of any class, what was ``found``: with a score of 0.3 or more, or
    the best if none has that, at most 10, best first. Boxes x, y, w, h and masks are in the thumbnail's pixels.

    Args:
        truth: the annotations.
        detections: of the run, with masks.
        image_paths: file of each image id.
        instance_counts: training instances of each class ``[K]``, in the order of the truth's category ids.

    Raises:
        UserError: an image cannot be read.
    """
    names = dict(zip(truth.category_ids.tolist(), truth.category_names, strict=True))
    made = []
    for category, image in chosen(truth, instance_counts):
        image_id = int(truth.image_ids[image])
        picture = _thumbnail(Path(image_paths[image_id]))
        size = (picture.height, picture.width)
        ratio = np.array(size[::-1]) / truth.image_sizes[image][::-1]
        made.append(
            {
                "category": truth.category_names[category],
                "frequency": str(truth.frequencies[category]),
                "image_id": image_id,
                "width": picture.width,
                "height": picture.height,
                "jpeg": _jpeg(picture),
                "truth": [
                    {"box": _box(truth.box[row], ratio), "mask": _small(_truth_mask(truth, int(row)), size)}
                    for row in np.flatnonzero((truth.image == image) & (truth.category == category) & _solid(truth))
                ],
                "found": [
                    {
                        "category": names[int(detections.category_id[row])],
                        "score": round(float(detections.score[row]), 4),
                        "box": _box(_found_box(detections, row), ratio),
                        "mask": _small(_found_mask(detections, row), size),
                    }
                    for row in _shown(detections, image_id)
                ],
            }
        )
    return made


def chosen(truth: GroundTruth, instance_counts: np.ndarray) -> list[tuple[int, int]]:
    """Category and image (indices) of the examples: of each class the image with its largest object.

    The classes are the first six rare ones that the images show, by category id; where the annotations have no
    frequencies, the six with the fewest training instances.
    """
    solid = _solid(truth)
    shown = np.unique(truth.category[solid])
    if (truth.frequencies != "").any():
        classes = shown[truth.frequencies[shown] == "r"][:CLASSES]
    else:
        classes = np.sort(shown[np.argsort(instance_counts[shown], kind="stable")][:CLASSES])
    largest = [np.argmax(np.where(solid & (truth.category == category), truth.mask_area, -1)) for category in classes]
    return [(int(category), int(truth.image[row])) for category, row in zip(classes, largest, strict=True)]


def _solid(truth: GroundTruth) -> np.ndarray:
    """Which annotations are single objects with pixels, bool (G,)."""
    return ~truth.crowd & (truth.mask_area > 0)


def _shown(detections: Detections, image_id: int) -> list[int]:
    """Rows of an image's detections that an example shows, best first."""
    rows = np.flatnonzero(detections.image_id == image_id)
    rows = rows[np.argsort(-detections.score[rows], kind="stable")]
    good = int((detections.score[rows] >= LEAST_SCORE).sum())
    return rows[: min(max(good, 1), MOST_FOUND)].tolist()


def _thumbnail(path: Path) -> Picture.Image:
    """The picture as it is stored (COCO's annotations do not follow EXIF's orientation), shrunk where it is larger."""
    try:
        with Picture.open(path) as opened:
            picture = opened.convert("RGB")
    except OSError as error:
        raise UserError(f"{path} cannot be read as an image ({error}): get that file again.") from error
    scale = min(1.0, LONGEST_SIDE / max(picture.size))
    return picture.resize([max(1, round(side * scale)) for side in picture.size], Picture.Resampling.LANCZOS)


def _jpeg(picture: Picture.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _box(box: np.ndarray, ratio: np.ndarray) -> list[float]:
    return np.round(np.asarray(box, float) * np.tile(ratio, 2), 2).tolist()


def _truth_mask(truth: GroundTruth, row: int) -> np.ndarray:
    runs = truth.runs[truth.run_start[row] : truth.run_start[row + 1]]
    height, width = truth.image_sizes[truth.image[row]]
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _found_box(detections: Detections, row: int) -> np.ndarray:
    assert detections.box is not None  # a run's detections have boxes and masks
    return detections.box[row]


def _found_mask(detections: Detections, row: int) -> np.ndarray:
    assert detections.counts is not None and detections.counts_start is not None and detections.size is not None
    counts = detections.counts[detections.counts_start[row] : detections.counts_start[row + 1]].tobytes()
    return coco.decode({"size": detections.size[row].tolist(), "counts": counts}).astype(bool)


def _small(mask: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """The RLE object of a mask at another ``size`` (height, width): the nearest pixel decides."""
    small = np.asarray(Picture.fromarray(mask).resize(size[::-1], Picture.Resampling.NEAREST))
    return {"size": list(size), "counts": encode(small[None])[0].decode("ascii")}
