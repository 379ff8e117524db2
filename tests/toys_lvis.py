"""Annotations in LVIS's format for tests: three images made up, their mistakes, and where the originals are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def original(name: str) -> Path:
    """A file of the original data sets; the test skips without it."""
    path = Path(os.environ.get("FASA_TEST_DATA", "")) / name
    if "FASA_TEST_DATA" not in os.environ or not path.exists():
        pytest.skip(f"FASA_TEST_DATA names no folder with {name}")
    return path


def toy() -> dict[str, Any]:
    """Three images of two folders; class 5 is frequent, 7 rare, 9 common and absent."""
    images = [
        {"id": i, "height": 4, "width": 6, "coco_url": f"http://images.cocodataset.org/{folder}/{i:012}.jpg"}
        for i, folder in ((1, "train2017"), (2, "val2017"), (3, "val2017"))
    ]
    for image in images:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    categories = [{"id": 5, "name": "e", "frequency": "f"}, {"id": 7, "name": "g", "frequency": "r"}]
    categories.append({"id": 9, "name": "i", "frequency": "c"})
    annotations = [
        {"id": i, "image_id": image, "category_id": category, "area": 4.0, "bbox": [0, 0, 2, 2]}
        for i, (image, category) in enumerate([(1, 5), (1, 5), (2, 7), (2, 5)], start=1)
    ]
    for annotation in annotations:
        annotation["segmentation"] = [[0, 0, 2, 0, 2, 2, 0, 2]]
    return {"images": images, "categories": categories, "annotations": annotations}


def write_images(root: Path) -> Path:
    """The folder of the toy's images, right in number and size."""
    for image in toy()["images"]:
        path = root / "images" / image["coco_url"].removeprefix("http://images.cocodataset.org/")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4)).save(path)
    return root / "images"


def write(path: Path, document: Any) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def faulty(change: str) -> dict[str, Any]:
    """The toy with one kind of mistake in it."""
    document = toy()
    match change:
        case "twice":
            document["annotations"][1]["id"] = 1
        case "stray":
            document["annotations"][2]["image_id"] = 77
        case "category":
            document["annotations"][2]["category_id"] = 6
        case "bare":
            document["annotations"][0]["segmentation"] = []
            del document["annotations"][1]["segmentation"]
        case "negatives":
            del document["images"][1]["neg_category_ids"]
        case "frequency":
            document["categories"][2]["frequency"] = "x"
    return document
