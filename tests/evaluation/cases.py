"""Small seeded problems with ties everywhere: annotations and detections as the official JSON files hold them.

Every problem mixes what evaluators get wrong: equal scores, equal IoUs, IoUs that hit a threshold exactly, areas on the
borders 32² and 96², empty masks, ignored objects and crowds, unknown classes, images without objects or detections,
classes without objects, absent frequency groups, more detections than a cap, and lists in no order at all.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from pycocotools import mask as masks

Json = dict[str, Any]

SIZES = ((100, 110), (131, 104), (128, 128))  # height, width: a 96 x 96 object fits
UNKNOWN_CLASS = 777
MORE = int(os.environ.get("FASA_FUZZ", "0"))  # seeds beyond those of every day
BORDERS = (1024.0, 9216.0, 1023.5, 1024.5, 9215.5, 9216.5)


def seeds(usual: int) -> range:
    """Seeds of problems: the usual ones, and as many more as FASA_FUZZ says."""
    return range(usual + MORE)


def lvis_problem(seed: int, iou_type: str = "segm") -> tuple[Json, list[Json]]:
    """Annotations and detections of 2-9 images and 2-6 classes, judged the federated way."""
    rng = np.random.default_rng([seed, iou_type == "bbox"])
    letters = rng.choice(list("rcf"), int(rng.integers(1, 4)), replace=False)
    annotations, scenes = _annotations(rng, crowds=False)
    classes = [entry["id"] for entry in annotations["categories"]]
    for entry in annotations["categories"]:
        entry |= {"frequency": str(rng.choice(letters)), "synset": f"{entry['name']}.n.01"}
    for entry in annotations["annotations"]:
        if rng.random() < 0.1:
            entry["ignore"] = 1
        if rng.random() < 0.03:
            entry["area"] = 0.0  # lvis-api leaves such an object out, and its class may lose its only proof
    for image in annotations["images"]:
        shuffled = [int(c) for c in rng.permutation(classes)]
        image["coco_url"] = f"http://images/{image['id']}.jpg"
        image["neg_category_ids"] = shuffled[: rng.integers(0, len(classes) + 1)]
        image["not_exhaustive_category_ids"] = [c for c in classes if rng.random() < 0.2]
        if rng.random() < 0.1:
            image["neg_category_ids"].append(UNKNOWN_CLASS)
    return annotations, _detections(rng, scenes, classes, iou_type)


def coco_problem(seed: int, iou_type: str = "segm") -> tuple[Json, list[Json]]:
    """Annotations and detections of 2-9 images and 2-6 classes, everything judged, with crowds."""
    rng = np.random.default_rng([seed, 2 + (iou_type == "bbox")])
    annotations, scenes = _annotations(rng, crowds=True)
    for entry in annotations["annotations"]:
        if rng.random() < 0.05:
            entry["area"] = 0.0  # pycocotools keeps it
    return annotations, _detections(rng, scenes, [entry["id"] for entry in annotations["categories"]], iou_type)


def _annotations(rng: np.random.Generator, crowds: bool) -> tuple[Json, list[Json]]:
    """Annotations without what only LVIS has, and every image's size, objects and a few shapes that come back."""
    image_ids = rng.choice(5000, int(rng.integers(2, 10)), replace=False) + 1
    classes = rng.choice(60, int(rng.integers(2, 7)), replace=False) + 1
    scenes, entries = [], []
    for image in image_ids:
        height, width = SIZES[rng.integers(len(SIZES))]
        scene: Json = {"id": int(image), "size": (height, width), "objects": []}
        scene["common"] = [_box(rng, height, width) for _ in range(4)]
        scenes.append(scene)
        present = rng.permutation(classes)[: rng.integers(0, len(classes))]  # one class at least is nowhere here
        for category in present:
            for _ in range(rng.integers(1, 6)):
                box = _varied(rng, _pick(rng, scene))
                if box[2] * box[3] == 0:
                    box[2:] = [5.0, 5.0]
                scene["objects"].append((box, int(category)))
                crowd = int(crowds and rng.random() < 0.15)
                mask = _mask(rng, box, scene["size"])
                area = float(mask.sum()) if rng.random() < 0.85 else float(rng.choice(BORDERS))
                entry = {"image_id": int(image), "category_id": int(category), "bbox": box, "area": area}
                entry["segmentation"] = _stored(
                    mask, box, "runs" if crowd else str(rng.choice(["rle", "runs", "polygon"]))
                )
                entries.append(entry | ({"iscrowd": crowd} if crowds else {}))
    ids = rng.choice(10 * len(entries) + 10, len(entries), replace=False) + 1
    entries = [entry | {"id": int(number)} for entry, number in zip(entries, ids, strict=True)]
    images = [{"id": scene["id"], "height": scene["size"][0], "width": scene["size"][1]} for scene in scenes]
    categories = [{"id": int(c), "name": f"class{c}"} for c in classes]
    mixed = (_shuffled(rng, images), _shuffled(rng, entries), _shuffled(rng, categories))
    return dict(zip(("images", "annotations", "categories"), mixed, strict=True)), scenes


def _detections(rng: np.random.Generator, scenes: list[Json], classes: list[int], iou_type: str) -> list[Json]:
    """Up to 40 detections an image; masks, boxes or both, the same for the whole list; at least one detection."""
    both = rng.random() < 0.3
    steps = int(rng.choice([2, 8, 1000]))  # how many different scores there are
    results: list[Json] = []
    for number, scene in enumerate(scenes):
        for _ in range(int(rng.integers(number == 0, 41)) if rng.random() < 0.85 or number == 0 else 0):
            box, category = _pick(rng, scene), int(rng.choice(classes))
            if scene["objects"] and rng.random() < 0.5:
                box, category = scene["objects"][rng.integers(len(scene["objects"]))]
            box = _varied(rng, box)
            result = {
                "image_id": scene["id"],
                "category_id": category if rng.random() < 0.96 else UNKNOWN_CLASS,
                "score": float(rng.integers(-1, steps) / steps),  # a score may be negative
            }
            if rng.random() < 0.05:
                result["score"] = round(result["score"])  # or a whole number
            if iou_type == "bbox" or both:
                result["bbox"] = box
            if iou_type == "segm" or both:
                result["segmentation"] = _stored(_mask(rng, box, scene["size"]), box, "rle")
            results.append(result)
    return _shuffled(rng, results)


def _box(rng: np.random.Generator, height: int, width: int) -> list[float]:
    """A box x, y, w, h of whole pixels in the image; some exactly 32² or 96², some without any area."""
    kind = rng.random()
    if kind < 0.15:
        side = 32 if kind < 0.1 else 96
        w = h = side
    elif kind < 0.2:
        w, h = 0, int(rng.integers(0, 5))
    elif kind < 0.5:
        w, h = 20, 20
    else:
        w, h = (int(v) for v in rng.integers(1, 101 if kind > 0.9 else 60, 2))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    return [float(v) for v in (x, y, w, h)]


def _pick(rng: np.random.Generator, scene: Json) -> list[float]:
    """One of the scene's common shapes, or a new one."""
    return list(scene["common"][rng.integers(4)]) if rng.random() < 0.5 else _box(rng, *scene["size"])


def _varied(rng: np.random.Generator, box: list[float]) -> list[float]:
    """The box itself, a part of it (an IoU of k / 20 hits the thresholds exactly), or moved a little."""
    x, y, w, h = box
    kind = rng.random()
    if kind < 0.4:
        return [x, y, w, float(max(1, h * int(rng.integers(10, 21)) // 20))]
    if kind < 0.7:
        return [max(0.0, v + float(d)) for v, d in zip(box, rng.integers(-3, 4, 4), strict=True)]
    if kind < 0.8:
        return [max(0.0, v + float(d)) for v, d in zip(box, rng.normal(0, 1, 4).round(2), strict=True)]
    return list(box)


def _mask(rng: np.random.Generator, box: list[float], size: tuple[int, int]) -> np.ndarray:
    """The box's pixels, bool (height, width); at times with a row missing, at times none at all."""
    mask = np.zeros(size, bool)
    x, y, w, h = (int(v) for v in box)
    mask[y : y + h, x : x + w] = True
    kind = rng.random()
    if kind < 0.2 and h > 3:
        mask[y + h // 2 : y + h // 2 + 1] = False  # a box may reach out of the image
    elif kind > 0.97:
        mask[:] = False
    return mask


def _stored(mask: np.ndarray, box: list[float], form: str) -> Any:
    """The mask as a compressed RLE ("rle"), as a list of run lengths ("runs"), or the box as two polygons."""
    if form == "polygon":
        x, y, w, h = box
        lower, upper = (
            [x, y, x + w, y, x + w, y + h / 2, x, y + h / 2],
            [x, y + h / 3, x + w, y + h / 3, x + w / 2, y + h],
        )
        return [lower, upper]
    if form == "runs":
        pixels = mask.ravel(order="F")
        cuts = np.flatnonzero(np.diff(pixels)) + 1
        runs = np.diff(np.r_[0, cuts, pixels.size]).tolist()
        return {"size": list(mask.shape), "counts": [0, *runs] if pixels[0] else runs}
    encoded = masks.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def _shuffled(rng: np.random.Generator, entries: list[Json]) -> list[Json]:
    return [entries[i] for i in rng.permutation(len(entries))]


def detections_around(annotations: Json, per_image: int, seed: int = 0) -> list[Json]:
    """``per_image`` detections of every image made of its polygons: near ones, doubles, wrong classes, background.

    Masks only (compressed RLE); a third of the scores is rounded, so that many are equal, and a few masks are empty.
    """
    rng = np.random.default_rng(seed)
    objects: dict[int, list[Json]] = {}
    for entry in annotations["annotations"]:
        objects.setdefault(entry["image_id"], []).append(entry)
    everywhere = [entry["category_id"] for entry in annotations["annotations"]]
    results: list[Json] = []
    for image in annotations["images"]:
        here = objects.get(image["id"], [])
        judged = sorted({entry["category_id"] for entry in here} | set(image.get("neg_category_ids", everywhere)))
        for _ in range(per_image):
            source = (
                here[rng.integers(len(here))] if here else annotations["annotations"][rng.integers(len(everywhere))]
            )
            near = bool(here) and rng.random() < 0.4
            spread = 0.05 if near else 0.5
            rle = _moved(rng, source["segmentation"], image, spread)
            if near and rng.random() < 0.8:
                category = source["category_id"]
            else:
                category = int(rng.choice(judged if rng.random() < 0.4 and judged else everywhere))
            score = float(rng.beta(4, 2) if near else rng.beta(1, 6))
            score = round(score, 2) if rng.random() < 0.3 else score
            results.append({"image_id": image["id"], "category_id": category, "score": score, "segmentation": rle})
    return _shuffled(rng, results)


def _moved(rng: np.random.Generator, segmentation: Any, image: Json, spread: float) -> Json:
    """The polygons scaled and moved by about ``spread`` of their extent, as an RLE; other masks as they are."""
    height, width = image["height"], image["width"]
    if not isinstance(segmentation, list):
        return _text(masks.frPyObjects(segmentation, height, width))
    points = [np.reshape(part, (-1, 2)) for part in segmentation]
    low, high = np.min([p.min(0) for p in points], 0), np.max([p.max(0) for p in points], 0)
    middle, extent = (low + high) / 2, high - low
    scale, shift = 1 + spread * rng.normal(), spread * rng.normal(size=2) * extent * (1 if spread < 0.1 else 3)
    limit = (width, height)
    moved = [np.clip((p - middle) * scale + middle + shift, 0, limit).ravel().tolist() for p in points]
    return _text(masks.merge(masks.frPyObjects(moved, height, width)))


def _text(rle: Json) -> Json:
    return {"size": [int(v) for v in rle["size"]], "counts": rle["counts"].decode()}
