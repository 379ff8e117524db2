"""tidecv 1.0.1 itself, and overlaps computed by pycocotools alone, for the tests of TIDE."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from pycocotools import mask as masks

from fasa.evaluation import GroundTruth, Overlaps, Tide

Json = dict[str, Any]
MAIN = ("cls", "loc", "both", "dupe", "bkg", "miss")
SPECIAL = ("false_positive", "false_negative")


def tidecv(annotations: Json, results: list[Json], iou_type: str = "segm", limit: int | None = None) -> Tide:
    """What tidecv says of the annotations and results as JSON, 0 where it would divide by no class at all.

    Only the classes' APs are listened to on the way, for the means over classes with truth that tidecv does not give.
    ``TIDE()`` is not made, as it changes matplotlib's style and makes a folder.
    """
    pytest.importorskip("tidecv")
    from tidecv.ap import ClassedAPDataObject
    from tidecv.quantify import TIDE, TIDERun

    truth, found = _data(annotations, results)
    heard: list[dict[int, float]] = []
    sizes: list[int] = []
    official = ClassedAPDataObject.get_mAP

    def listen(curves: Any) -> float:
        heard.append({c: curve.get_ap() for c, curve in curves.objs.items()})
        sizes.append(sum(not curve.is_empty() for curve in curves.objs.values()))
        return official(curves) if sizes[-1] else 0.0

    mode = TIDE.MASK if iou_type == "segm" else TIDE.BOX
    with mock.patch.object(ClassedAPDataObject, "get_mAP", listen):
        run = TIDERun(truth, found, 0.5, 0.1, mode, limit or truth.max_dets)
        main, special = run.fix_main_errors(), run.fix_special_errors()
    classes = {c for c, curve in run.ap_data.objs.items() if curve.num_gt_positives}
    means = [sum(aps.get(c, 0.0) for c in classes) / max(1, len(classes)) for aps in heard]
    gains = [mean - means[0] for mean in means[1:]]
    return Tide(
        ap=run.ap,
        ap_gt_classes=means[0],
        errors=dict(zip(MAIN, main.values(), strict=True)),
        errors_gt_classes=dict(zip(MAIN, (max(gain, 0) for gain in gains[:6]), strict=True)),
        special=dict(zip(SPECIAL, special.values(), strict=True)),
        special_gt_classes=dict(zip(SPECIAL, gains[6:], strict=True)),
        counts=dict(zip(MAIN, (len(errors) for errors in run.error_dict.values()), strict=True)),
        classes=sizes[0],
        classes_with_truth=len(classes),
    )


def _data(annotations: Json, results: list[Json]) -> tuple[Any, Any]:
    """tidecv's own loaders on files; for LVIS at size, ignore regions only of classes predicted in the image.

    A region of a class that nothing in the image is predicted as changes nothing, but costs a dict; there are 1,200 of
    them an image. LVIS annotations with an area of 0 or less are left out, as in lvis-api (our one deviation).
    """
    from tidecv import datasets

    federated = any("neg_category_ids" in image for image in annotations["images"])
    predicted: dict[int, set[int]] = {image["id"]: set() for image in annotations["images"]}
    for result in results:
        predicted[result["image_id"]].add(result["category_id"])
    objects = [a for a in annotations["annotations"] if not federated or a["area"] > 0]
    known = {category["id"] for category in annotations["categories"]}
    light = federated and len(known) > 20
    if light:
        # A class that is negative or annotated gets no region: so all but the predicted ones are said to be negative.
        images = [
            image
            | {
                "neg_category_ids": sorted(set(image["neg_category_ids"]) | (known - predicted[image["id"]])),
                "not_exhaustive_category_ids": sorted(
                    predicted[image["id"]].intersection(image["not_exhaustive_category_ids"])
                ),
            }
            for image in annotations["images"]
        ]
    else:
        images = annotations["images"]
    names = [{"synset": "", **category} for category in annotations["categories"]]
    images = [{"coco_url": "", "file_name": "", **image} for image in images]
    with tempfile.TemporaryDirectory() as folder:
        truth, found = Path(folder, "truth.json"), Path(folder, "found.json")
        truth.write_text(json.dumps({"images": images, "annotations": objects, "categories": names}))
        found.write_text(json.dumps(results))
        load = datasets.LVIS if federated else datasets.COCO
        return load(str(truth)), datasets.COCOResult(str(found))


def assert_same(ours: Tide, theirs: Tide, tolerance: float = 1e-9) -> float:
    """Every count equal, every figure within ``tolerance`` AP points; the largest difference is returned."""
    assert ours.counts == theirs.counts
    assert (ours.classes, ours.classes_with_truth) == (theirs.classes, theirs.classes_with_truth)
    worst = max(abs(ours.ap - theirs.ap), abs(ours.ap_gt_classes - theirs.ap_gt_classes))
    for figures in ("errors", "errors_gt_classes", "special", "special_gt_classes"):
        mine, other = getattr(ours, figures), getattr(theirs, figures)
        assert mine.keys() == other.keys()
        worst = max([worst, *(abs(mine[name] - other[name]) for name in other)])
    assert worst <= tolerance, (ours, theirs)
    return worst


def columns(annotations: Json) -> GroundTruth:
    """The columns that TIDE reads, put together entry by entry; the others are empty."""
    federated = any("neg_category_ids" in image for image in annotations["images"])
    image_ids = sorted(image["id"] for image in annotations["images"])
    category_ids = sorted(category["id"] for category in annotations["categories"])
    place = {image["id"]: k for k, image in enumerate(annotations["images"])}
    entries = [(k, a) for k, a in enumerate(annotations["annotations"]) if not federated or a["area"] > 0]
    entries.sort(key=lambda entry: (entry[1]["image_id"], entry[1]["category_id"]))
    verified = np.full((len(image_ids), len(category_ids)), not federated)
    open_ended = np.zeros_like(verified)
    for image in annotations["images"] if federated else []:
        row = image_ids.index(image["id"])
        verified[row] |= np.isin(category_ids, image["neg_category_ids"])
        open_ended[row] |= np.isin(category_ids, image["not_exhaustive_category_ids"])
    image = np.array([image_ids.index(a["image_id"]) for _, a in entries], np.int32)
    category = np.array([category_ids.index(a["category_id"]) for _, a in entries], np.int32)
    crowd = np.array([not federated and a["iscrowd"] == 1 for _, a in entries], bool)
    verified[image, category] = True
    nothing = np.zeros(0)
    return GroundTruth(
        name="annotations",
        kind="lvis" if federated else "coco",
        image_ids=np.array(image_ids, np.int64),
        image_sizes=nothing,
        image_positions=np.array([place[i] for i in image_ids], np.int32),
        val2017=nothing,
        category_ids=np.array(category_ids, np.int64),
        category_names=(),
        frequencies=nothing,
        image=image,
        category=category,
        ids=nothing,
        area=nothing,
        box=nothing,
        ignore=crowd,
        crowd=crowd,
        position=np.array([k for k, _ in entries], np.int64),
        runs=nothing,
        run_start=nothing,
        mask_area=nothing,
        tight=nothing,
        verified=verified,
        not_exhaustive=open_ended,
        notes=(),
        digest="",
    )


def pycocotools_overlaps(annotations: Json, results: list[Json], iou_type: str = "segm") -> Overlaps:
    """Pairs by ``pycocotools.mask.iou``, image by image: those that the door keeps, and crowds of other classes."""
    truth = columns(annotations)
    size = {image["id"]: (image["height"], image["width"]) for image in annotations["images"]}
    unknown = sorted({r["category_id"] for r in results} - set(truth.category_ids.tolist()))
    number = {c: k for k, c in enumerate([*truth.category_ids.tolist(), *unknown])}
    category = np.array([number[r["category_id"]] for r in results], np.int32)
    image = np.searchsorted(truth.image_ids, [r["image_id"] for r in results]).astype(np.int32)

    def shape(entry: Json) -> Any:
        if iou_type == "bbox":
            return entry["bbox"]
        mask = entry["segmentation"]
        height, width = size[entry["image_id"]]
        if isinstance(mask, list):
            return masks.merge(masks.frPyObjects(mask, height, width))
        return masks.frPyObjects(mask, height, width) if isinstance(mask["counts"], list) else mask

    pairs = []
    for row in np.unique(image):
        rows, here = np.flatnonzero(image == row), np.flatnonzero(truth.image == row)
        if not len(here):
            continue
        objects = [shape(annotations["annotations"][k]) for k in truth.position[here]]
        iou = np.asarray(masks.iou([shape(results[d]) for d in rows], objects, truth.crowd[here].astype(int).tolist()))
        pairs += [(rows[d], here[g], iou[d, g]) for d, g in np.argwhere(iou >= 0.1)]
    pairs.sort()
    detection, objects, iou = zip(*pairs, strict=True) if pairs else ((), (), ())
    return Overlaps(
        ground_truth=truth,
        iou_type=iou_type,
        image=image,
        category=category,
        score=np.array([r["score"] for r in results], np.float64),
        area=np.zeros(len(results)),
        detection=np.array(detection, np.int32),
        truth=np.array(objects, np.int32),
        iou=np.array(iou, np.float64),
        all_classes=True,
    )
