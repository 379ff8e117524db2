"""What the official tools are given: plain JSON, whatever the user's files are; nothing is used twice."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask

from fasa.errors import UserError
from fasa.evaluation.io.detections import Detections, load_detections, write_results_json
from fasa.evaluation.io.ground_truth import GroundTruth

GZIP = b"\x1f\x8b"


def plain_json(annotations: Path, detections: Path, folder: Path) -> tuple[Path, Path]:
    """The two files as uncompressed JSON: themselves, or copies in ``folder``.

    Raises:
        UserError: the annotations are not JSON.
    """
    refuse_npz(annotations)
    if zipfile.is_zipfile(detections):
        copy = folder / "detections.json"
        write_results_json(_complete(load_detections(detections)), copy)
    else:
        copy = _unzipped(detections, folder / "detections.json")
    return _unzipped(annotations, folder / "annotations.json"), copy


def _complete(detections: Detections) -> Detections:
    """Of policy "verified", what has neither mask nor box gets an empty box; ``entries`` gives it an empty mask."""
    if detections.policy == "all":
        return detections
    box = np.full((len(detections), 4), np.nan) if detections.box is None else detections.box.copy()
    box[(detections.mask_area < 0) & np.isnan(box[:, 0])] = 0
    return replace(detections, box=box, policy="all")


def refuse_npz(annotations: Path) -> None:
    """Raise a UserError if ``annotations`` is our own .npz."""
    if zipfile.is_zipfile(annotations):
        raise UserError(
            f"{annotations} is not JSON, which the official tools need; verify with the original annotations."
        )


def _unzipped(path: Path, destination: Path) -> Path:
    with path.open("rb") as stream:
        if stream.read(2) != GZIP:
            return path
    with gzip.open(path) as packed, destination.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    return destination


def entries(detections: Path, name: str, iou_type: str, areas: str, truth: GroundTruth) -> list[dict[str, Any]]:
    """A fresh list of the entries: lvis-api and pycocotools write into it, so that a second use would differ.

    Mask results lose their "bbox" unless ``areas`` is "box", as in Dave et al.'s scripts: lvis-api takes its area else.
    Masks that were not kept, because no metric looks at them (policy "verified"), become empty ones; a box stands in
    for none.
    """
    listed = json.loads(detections.read_bytes())
    if not listed:
        raise UserError(f"{name} holds no detections, and the official tools cannot read an empty list.")
    if iou_type == "segm":
        sizes = dict(zip(truth.image_ids.tolist(), truth.image_sizes.tolist(), strict=True))
        for entry in listed:
            if areas == "mask":
                entry.pop("bbox", None)
            if entry.get("segmentation") is None:
                height, width = sizes[entry["image_id"]]
                entry["segmentation"] = _empty(height, width)
    return listed


def _empty(height: int, width: int) -> dict[str, Any]:
    return mask.encode(np.zeros((height, width), np.uint8, order="F"))


def for_tidecv(
    annotations: Path, detections: Path, folder: Path, iou_type: str, truth: GroundTruth
) -> tuple[Path, Path]:
    """The two files as tidecv needs them: copies in ``folder`` with what is missing and no figure depends on.

    Annotations get names; boxes, which the other tools take from masks, are put into detections. LVIS annotations with
    an area of 0 or less are left out, as lvis-api does and tidecv does not.
    """
    document = json.loads(annotations.read_bytes())
    for part, field, value in (
        ("images", "coco_url", ""),
        ("images", "file_name", ""),
        ("categories", "synset", ""),
        ("categories", "name", ""),
        ("annotations", "iscrowd", 0),
    ):
        for entry in document[part]:
            entry.setdefault(field, value)
    if truth.kind == "lvis":
        document["annotations"] = [a for a in document["annotations"] if a["area"] > 0]
    named = folder / "named.json"
    named.write_text(json.dumps(document))
    if iou_type == "segm":
        return named, detections
    listed = json.loads(detections.read_bytes())
    for entry in listed:
        if "bbox" not in entry:
            entry["bbox"] = mask.toBbox(entry["segmentation"]).tolist()
    boxed = folder / "boxed.json"
    boxed.write_text(json.dumps(listed))
    return named, boxed
