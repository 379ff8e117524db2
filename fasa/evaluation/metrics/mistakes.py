"""What looks like a mistake in detections that can be scored all the same, in sentences with counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fasa.evaluation.geometry.overlaps import Overlaps
from fasa.evaluation.metrics.matching import IMAGE_LIMIT

MANY_BEYOND = 0.2  # share of boxes outside their image from which on they are in doubt: of x1, y1, x2, y2 most are


def mistakes(overlaps: Overlaps, protocols: Sequence[str]) -> tuple[str, ...]:
    """Sentences on detections that were scored under ``protocols``; none if nothing is odd."""
    return tuple(_mistakes(overlaps, protocols))


def _mistakes(found: Overlaps, protocols: Sequence[str]) -> Iterator[str]:
    truth, detections = found.ground_truth, len(found.score)
    if found.left_out:
        every = found.left_out + detections
        yield f"Left out, as of images that are not scored: {found.left_out:,} of {every:,} detections."
    yield from _classes(found)
    if detections > 1 and (found.score == found.score[0]).all():
        yield (
            f"All {detections:,} detections have the score {found.score[0]:g}: AP ranks by scores, and "
            "goes by the order of the file now."
        )
    if found.boxes_beyond > MANY_BEYOND * detections:
        yield (
            f"{found.boxes_beyond:,} of {detections:,} boxes end outside their image: a box is x, y, width, height in "
            "pixels of the original image, not x1, y1, x2, y2."
        )
    per_image = np.bincount(found.image, minlength=len(truth.image_ids))
    full = int((per_image == IMAGE_LIMIT).sum())
    if {"fixed", "pool"} & set(protocols) and full and per_image.max() == IMAGE_LIMIT:
        yield (
            f"Images with {IMAGE_LIMIT} detections: {full:,} of {len(per_image):,}; with more: none. The file was cut "
            "for the standard protocol: AP-Fixed and AP-Pool need 10,000 detections of each class, and are too low."
        )
    if (bare := per_image == 0).any():
        objects = np.bincount(truth.image, minlength=len(bare)) > 0
        yield (
            f"{bare.sum():,} of {len(bare):,} images have no detection; {(bare & objects).sum():,} of those hold "
            "objects, which all count as missed."
        )


def _classes(found: Overlaps) -> Iterator[str]:
    ids, unknown = found.ground_truth.category_ids, found.unknown_ids
    if not unknown:
        return
    outside = int((found.category >= len(ids)).sum())
    yield (
        f"{outside:,} of {len(found.score):,} detections are of classes that the annotations lack, and find no object "
        f"(ids: {len(unknown):,}, {', '.join(map(str, unknown[:3]))}{', …' if len(unknown) > 3 else ''})."
    )
    known = found.category[found.category < len(ids)]
    detected = np.union1d(unknown, ids[known])
    one_less = np.isin(detected + 1, ids).all()
    places = detected[0] == 0 and detected[-1] < len(ids)
    if one_less or places:
        yield (
            f"The category ids look counted from 0 ({detected[0]} to {detected[-1]}; those of the annotations are "
            f"{ids[0]} to {ids[-1]}): every figure is of the wrong classes; write the annotations' ids."
        )
