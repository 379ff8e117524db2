"""Annotations cut to some of their images: LVIS minival, or a list of ids."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.io import fields
from fasa.evaluation.io.files import explained, opened
from fasa.evaluation.io.ground_truth import GroundTruth, digest, load_ground_truth

MINIVAL = "minival"


def subset(
    annotations: str | Path | dict[str, Any] | GroundTruth, images: str | Path | Iterable[int], masks: bool = True
) -> GroundTruth:
    """Annotations of some images, as if they were all; detections of other images are left out, and counted.

    Args:
        annotations: what ``load_ground_truth`` accepts.
        images: ids; or the path of a file of ids; or "minival", the images of COCO's val2017, by their "coco_url": in
            LVIS v1's validation set these 4,809 of 19,809 are what MDETR (Kamath et al. 2021) and GLIP (Li et al. 2022)
            call minival.
        masks: whether masks are read, as by ``load_ground_truth``; boxes need none.

    Raises:
        UserError: the annotations have none of the images, or the file holds no ids.
    """
    truth = load_ground_truth(annotations, masks=masks)
    if isinstance(images, str) and images == MINIVAL:
        kept, asked = truth.val2017, int(truth.val2017.sum())
        if not asked:
            raise UserError(
                f'{truth.name} has no image whose "coco_url" is of val2017, by which minival is known: give '
                "official annotations, or a file of image ids."
            )
    else:
        ids = _read_ids(Path(images)) if isinstance(images, str | Path) else _checked(list(images), "the images' ids")
        kept, asked = np.isin(truth.image_ids, ids), len(np.unique(ids))
        if not kept.any():
            raise UserError(f"{truth.name} has none of the {asked:,} images that were asked for: check their ids.")
    return _cut(truth, kept, asked)


def _cut(truth: GroundTruth, kept: np.ndarray, asked: int) -> GroundTruth:
    rows = kept[truth.image]
    length = np.diff(truth.run_start)
    notes = [f"Scored on {kept.sum():,} of {len(kept):,} images."]
    if asked > kept.sum():
        notes.append(f"Of {asked:,} images that were asked for, the annotations lack {asked - kept.sum():,}.")
    per_image = ("image_ids", "image_sizes", "val2017", "verified", "not_exhaustive")
    per_object = ("category", "ids", "area", "box", "ignore", "crowd", "position", "mask_area", "tight")
    columns = {key: getattr(truth, key)[kept] for key in per_image}
    columns |= {key: getattr(truth, key)[rows] for key in per_object}
    columns |= {
        "image": (np.cumsum(kept) - 1)[truth.image[rows]].astype(np.int32),
        "image_positions": np.argsort(np.argsort(truth.image_positions[kept])).astype(np.int32),
        "runs": truth.runs[np.repeat(rows, length)],
        "run_start": np.concatenate(([0], np.cumsum(length[rows]))),
    }
    return replace(
        truth, **columns, notes=(*truth.notes, *notes), digest=digest({"of": truth.digest, **columns}), subset=True
    )


def _read_ids(path: Path) -> np.ndarray:
    """Ids of a file: one a line, or JSON: a list, or an object with "images", such as annotations are."""
    with explained(path), opened(path) as stream:
        content = stream.read()
    try:
        text = content.decode("utf-8-sig").strip()
        values = json.loads(text) if text[:1] in ("[", "{") else text.split()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} holds no image ids ({error}): write one a line, or a list as JSON.") from error
    if isinstance(values, dict):
        images = fields.present(values, "images", str(path))
        if not isinstance(images, list):
            raise fields.wrong(str(path), "images", images, "write a list")
        values = [_id(image, f"{path}: image {i}") for i, image in enumerate(images)]
    return _checked(values, str(path))


def _id(image: Any, where: str) -> Any:
    return fields.present(fields.record(image, where), "id", where)


def _checked(values: list[Any], name: str) -> np.ndarray:
    if not values:
        raise UserError(f"{name}: the list is empty; give the ids of the images to score.")
    ids = [int(v) if isinstance(v, str) and v.removeprefix("-").isdecimal() else v for v in values]
    return np.array([fields.whole(v, f"{name}: entry {i}", "id") for i, v in enumerate(ids)], np.int64)
