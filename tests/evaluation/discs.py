"""Small LVIS and COCO problems of discs, with every kind of mistake that a detector makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as rle

HEIGHT, WIDTH = 160, 200
FREQUENCIES = "rrcfff"  # category 3, the one common class, is annotated nowhere


def disc(rng: np.random.Generator, around: tuple[float, float, float] | None = None) -> tuple[float, float, float]:
    """Centre and radius of a disc: anywhere, or near another one."""
    if around is None:
        return rng.uniform(50, WIDTH - 50), rng.uniform(50, HEIGHT - 50), float(rng.choice([8, 25, 60]))
    x, y, r = around
    return x + rng.normal(0, r / 6), y + rng.normal(0, r / 6), r * rng.uniform(0.8, 1.2)


def encode(x: float, y: float, r: float) -> dict[str, Any]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    code = rle.encode(np.asfortranarray(((columns - x) ** 2 + (rows - y) ** 2 < r**2).astype(np.uint8)))
    return {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()}


def problem(kind: str, seed: int = 0, images: int = 12) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Annotations and detections of discs: near misses, wrong classes, duplicates, background, unjudged classes."""
    rng = np.random.default_rng(seed)
    categories = [{"id": k + 1, "name": f"thing {k + 1}"} for k in range(len(FREQUENCIES))]
    listed, annotations, detections = [], [], []
    for i in range(images):
        image: dict[str, Any] = {"id": 10 * (images - i), "height": HEIGHT, "width": WIDTH}
        listed.append(image)
        present = rng.choice([1, 2, 4, 5, 6], size=rng.integers(1, 4))
        for category in present.tolist():
            true = disc(rng)
            mask = encode(*true)
            annotation = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": category}
            annotation |= {"segmentation": mask, "area": float(rle.area(mask)), "bbox": rle.toBbox(mask).tolist()}
            annotations.append(annotation | ({"iscrowd": int(rng.random() < 0.1)} if kind == "coco" else {}))
            for _ in range(rng.integers(0, 4)):
                guess = category if rng.random() < 0.8 else int(rng.integers(1, 7))
                detections.append(detection(rng, image["id"], guess, disc(rng, true)))
        for _ in range(3):
            detections.append(detection(rng, image["id"], int(rng.integers(1, 7)), disc(rng)))
        if kind == "lvis":
            rest = [c for c in range(1, 7) if c not in present]
            image["neg_category_ids"] = [c for c in rest if rng.random() < 0.5]
            image["not_exhaustive_category_ids"] = [int(c) for c in set(present.tolist()) if rng.random() < 0.2]
    if kind == "lvis":
        for category, letter in zip(categories, FREQUENCIES, strict=True):
            category["frequency"] = letter
    return {"images": listed, "categories": categories, "annotations": annotations}, detections


def detection(rng: np.random.Generator, image: int, category: int, where: tuple[float, float, float]) -> dict[str, Any]:
    mask = encode(*where)
    return {
        "image_id": image,
        "category_id": category,
        "score": round(float(rng.random()), 2),  # some are equal
        "segmentation": mask,
        "bbox": rle.toBbox(mask).tolist(),
    }
