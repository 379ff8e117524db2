"""Small results and annotations with their columns made the simple way; and problems of discs for ``fasa score``."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from fasa.errors import UserError
from fasa.evaluation import Detections

HEIGHT, WIDTH = 160, 200
FREQUENCIES = "rrcfff"  # category 3, the one common class, is annotated nowhere
COLUMNS = ("image_id", "category_id", "score", "box", "size", "mask_area", "tight", "counts", "counts_start")


def random_rle(rng: np.random.Generator, size: tuple[int, int]) -> dict[str, Any]:
    """A compressed mask of about half its pixels in blocks, now and then empty or full."""
    kind = rng.random()
    mask = np.kron(rng.random((3, 3)) < 0.5, np.ones((size[0] // 3 + 1, size[1] // 3 + 1)))[: size[0], : size[1]]
    if kind < 0.1:
        mask[:] = 0
    elif kind < 0.2:
        mask[:] = 1
    elif kind < 0.5:
        mask = rng.random(size) < 0.5
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(size), "counts": rle["counts"].decode()}


def random_results(rng: np.random.Generator, n: int, boxes: float = 0.5, masks: float = 0.7) -> list[dict[str, Any]]:
    """n entries in the official form; each has a box or a mask, or both."""
    entries = []
    for _ in range(n):
        entry = {"image_id": int(rng.integers(1, 2**40)), "category_id": int(rng.integers(0, 2000))}
        masked = rng.random() < masks
        if rng.random() < boxes or not masked:
            entry["bbox"] = [float(v) for v in rng.uniform(0, 100, 4).round(int(rng.integers(0, 17)))]
        entry["score"] = float(rng.random() * 10.0 ** rng.integers(-8, 1))
        if masked:
            entry["segmentation"] = random_rle(rng, (int(rng.integers(1, 12)), int(rng.integers(1, 12))))
        entries.append(entry)
    return entries


def spelled(rng: np.random.Generator, entries: list[dict[str, Any]]) -> str:
    """The entries as JSON with white space, escapes, orders and further keys as other programs might write them."""

    def space() -> str:
        return "".join(rng.choice([" ", "\n", "\t", "\r", ""], size=int(rng.integers(0, 3))))

    def text(value: str) -> str:
        plain = [json.dumps(c, ensure_ascii=False)[1:-1] for c in value]
        escaped = [json.dumps(c)[1:-1] if ord(c) > 127 else f"\\u{ord(c):04X}" for c in value]
        return '"' + "".join(e if rng.random() < 0.02 else p for p, e in zip(plain, escaped, strict=True)) + '"'

    def spell(value: Any) -> str:
        if isinstance(value, dict):
            items = list(value.items())
            rng.shuffle(items)
            return "{" + ",".join(f"{space()}{text(k)}{space()}:{space()}{spell(v)}{space()}" for k, v in items) + "}"
        if isinstance(value, list):
            return "[" + ",".join(space() + spell(v) + space() for v in value) + "]"
        return text(value) if isinstance(value, str) else json.dumps(value)

    extras = [
        {"extra": [{"a": 1}, {"b": [{}, {}]}]},
        {"extra": "}, {"},
        {"ключ": "значение \U0001f600", "n": None},
        {"extra": {"deep": {"image_id": 1}}},
        {},
        {},
        {},
    ]
    content = [spell({**entry, **extras[rng.integers(len(extras))]}) for entry in entries]
    gaps = [space() + "," + space() for _ in content[1:]] + [""]
    return (
        space() + "[" + space() + "".join(a + b for a, b in zip(content, gaps, strict=True)) + space() + "]" + space()
    )


def expected_columns(entries: list[dict[str, Any]]) -> dict[str, np.ndarray | None]:
    """What ``Detections`` should hold, with pycocotools for the masks, one entry at a time."""
    masks = [entry.get("segmentation") for entry in entries]
    boxes = [entry.get("bbox") for entry in entries]
    rles = [m and {"size": m["size"], "counts": m["counts"].encode()} for m in masks]
    strings = [rle["counts"] if rle else b"" for rle in rles]
    no_masks = not any(masks)
    return {
        "image_id": np.array([entry["image_id"] for entry in entries], np.int64),
        "category_id": np.array([entry["category_id"] for entry in entries], np.int64),
        "score": np.array([entry["score"] for entry in entries], np.float64),
        "box": np.array([box or [np.nan] * 4 for box in boxes], np.float64).reshape(-1, 4) if any(boxes) else None,
        "size": None if no_masks else np.array([m["size"] if m else [0, 0] for m in masks], np.int32),
        "mask_area": None if no_masks else np.array([coco.area(r) if r else -1 for r in rles], np.int64),
        "tight": None if no_masks else np.array([coco.toBbox(r) if r else [0] * 4 for r in rles]).astype(np.int32),
        "counts": None if no_masks else np.frombuffer(b"".join(strings), np.uint8),
        "counts_start": None if no_masks else np.cumsum([0, *map(len, strings)], dtype=np.int64),
    }


def same_columns(found: Detections, expected: Detections | dict[str, Any]) -> None:
    """Assert that the columns are equal in value and dtype."""
    for key in COLUMNS:
        wanted = expected[key] if isinstance(expected, dict) else getattr(expected, key)
        column = getattr(found, key)
        if wanted is None:
            assert column is None, key
        else:
            assert column.dtype == wanted.dtype, key
            assert column.flags.carray, key  # aligned, contiguous, writable: one compiled kernel serves every source
            np.testing.assert_array_equal(column, wanted, err_msg=key)


def lvis_document() -> dict[str, Any]:
    """Three images, three classes, five annotations in every spelling of a mask."""
    square = [2.0, 2.0, 8.0, 2.0, 8.0, 6.0, 2.0, 6.0]
    rle = coco.encode(np.asfortranarray(np.tri(10, 12, dtype=np.uint8)))

    def entry(id: int, image: int, category: int, mask: Any, **more: Any) -> dict[str, Any]:
        box = {"area": 24.5, "bbox": [2, 2.0, 6.0, 4.0]}
        return {"id": id, "image_id": image, "category_id": category, "segmentation": mask, **box, **more}

    return {
        "info": {"version": "1"},
        "images": [
            {"id": 30, "height": 10, "width": 12, "neg_category_ids": [5, 99], "not_exhaustive_category_ids": [3]},
            {"id": 10, "height": 10, "width": 12, "neg_category_ids": [], "not_exhaustive_category_ids": []},
            {"id": 20, "height": 8, "width": 9, "neg_category_ids": [1], "not_exhaustive_category_ids": [98]},
        ],
        "categories": [
            {"id": 5, "name": "five", "frequency": "r"},
            {"id": 1, "name": "öne", "frequency": "f"},
            {"id": 3, "name": "three", "frequency": "c"},
        ],
        "annotations": [
            entry(7, 30, 3, [square]),
            entry(2, 10, 1, [square, [v + 1 for v in square]], area=30),
            entry(9, 30, 1, {"size": [10, 12], "counts": rle["counts"].decode()}, ignore=1),
            entry(4, 30, 3, {"size": [10, 12], "counts": [20, 30, 70]}),
            entry(5, 20, 5, [square], area=0.0),
        ],
    }


def coco_document() -> dict[str, Any]:
    """The same without what is LVIS's, and a crowd."""
    document = lvis_document()
    for image in document["images"]:
        del image["neg_category_ids"], image["not_exhaustive_category_ids"]
    for category in document["categories"]:
        del category["frequency"]
    document["annotations"][3]["iscrowd"] = 1
    return document


def refused(call: Any, *arguments: Any, **options: Any) -> str:
    """The one sentence with which ``call`` refuses its arguments."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **options)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence, sentence
    return sentence


def disc(rng: np.random.Generator, around: tuple[float, float, float] | None = None) -> tuple[float, float, float]:
    """Centre and radius of a disc: anywhere, or near another one."""
    if around is None:
        return rng.uniform(50, WIDTH - 50), rng.uniform(50, HEIGHT - 50), float(rng.choice([8, 25, 60]))
    x, y, r = around
    return x + rng.normal(0, r / 6), y + rng.normal(0, r / 6), r * rng.uniform(0.8, 1.2)


def disc_rle(x: float, y: float, r: float) -> dict[str, Any]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    code = coco.encode(np.asfortranarray(((columns - x) ** 2 + (rows - y) ** 2 < r**2).astype(np.uint8)))
    return {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()}


def disc_problem(kind: str, seed: int = 0, images: int = 12) -> tuple[dict[str, Any], list[dict[str, Any]]]:
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
            mask = disc_rle(*true)
            annotation = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": category}
            annotation |= {"segmentation": mask, "area": float(coco.area(mask)), "bbox": coco.toBbox(mask).tolist()}
            annotations.append(annotation | ({"iscrowd": int(rng.random() < 0.1)} if kind == "coco" else {}))
            for _ in range(rng.integers(0, 4)):
                guess = category if rng.random() < 0.8 else int(rng.integers(1, 7))
                detections.append(disc_detection(rng, image["id"], guess, disc(rng, true)))
        for _ in range(3):
            detections.append(disc_detection(rng, image["id"], int(rng.integers(1, 7)), disc(rng)))
        if kind == "lvis":
            rest = [c for c in range(1, 7) if c not in present]
            image["neg_category_ids"] = [c for c in rest if rng.random() < 0.5]
            image["not_exhaustive_category_ids"] = [int(c) for c in set(present.tolist()) if rng.random() < 0.2]
    if kind == "lvis":
        for category, letter in zip(categories, FREQUENCIES, strict=True):
            category["frequency"] = letter
    return {"images": listed, "categories": categories, "annotations": annotations}, detections


def disc_detection(
    rng: np.random.Generator, image: int, category: int, where: tuple[float, float, float]
) -> dict[str, Any]:
    mask = disc_rle(*where)
    return {
        "image_id": image,
        "category_id": category,
        "score": round(float(rng.random()), 2),  # some are equal
        "segmentation": mask,
        "bbox": coco.toBbox(mask).tolist(),
    }
