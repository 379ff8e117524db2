"""InstaBoost's wrapper with a stand-in for its package, and with the package itself where it is installed."""

from __future__ import annotations

import random
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("mmdet")
pytest.importorskip("mmdet.datasets")

from pycocotools import mask as coco

from fasa.errors import UserError
from fasa.mmdet.instaboost import PACKAGE, SafeInstaBoost, to_polygons

SIDE = 80
INSTALLED = find_spec(PACKAGE) is not None


def square(x: int, y: int, size: int, label: int, **changes) -> dict:
    corners = [x, y, x + size, y, x + size, y + size, x, y + size]
    return {
        "bbox": [x, y, x + size, y + size],
        "bbox_label": label,
        "mask": [[float(v) for v in corners]],
        "ignore_flag": 0,
        **changes,
    }


def image(*instances: dict) -> dict:
    pixels = np.random.default_rng(0).integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
    for instance in instances:
        x1, y1, x2, y2 = (int(v) for v in instance["bbox"])
        pixels[y1:y2, x1:x2] = 200
    return {"img": pixels, "instances": list(instances), "img_id": 7}


@pytest.fixture
def stand_in(monkeypatch):
    """A package that moves every object by ten pixels to the right and notes what it was given."""
    given = []

    def get_new_data(annotations, pixels, config, background):
        given.append(annotations)
        moved = []
        for entry in annotations:
            x, y, w, h = entry["bbox"]
            segmentation = [[v + 10 * (i % 2 == 0) for i, v in enumerate(p)] for p in entry["segmentation"]]
            moved.append({**entry, "bbox": [x + 10, y, w, h], "segmentation": segmentation})
        return moved[: None if config.keep else 0], pixels + 1

    module = ModuleType(PACKAGE)
    config = SimpleNamespace(keep=True)
    module.InstaBoostConfig = lambda *a: config
    module.get_new_data = get_new_data
    module.__spec__ = SimpleNamespace()
    monkeypatch.setitem(sys.modules, PACKAGE, module)
    monkeypatch.setitem(sys.modules, f"{PACKAGE}.pycococreater", ModuleType("pycococreater"))
    return SimpleNamespace(given=given, config=config)


def test_without_the_package_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr("fasa.mmdet.instaboost.find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"needs the package {PACKAGE}.*pip install {PACKAGE}"):
        SafeInstaBoost()


def test_objects_move_with_their_masks_and_labels(stand_in):
    results = image(square(10, 10, 20, 3), square(50, 40, 12, 1))
    before = results["img"].copy()
    changed = SafeInstaBoost(aug_ratio=1.0).transform(results)
    assert [x["bbox"] for x in changed["instances"]] == [[20, 10, 40, 30], [60, 40, 72, 52]]
    assert [x["bbox_label"] for x in changed["instances"]] == [3, 1]
    assert changed["instances"][0]["mask"] == [[20, 10, 40, 10, 40, 30, 20, 30]]
    assert (changed["img"] == before + 1).all()
    assert changed["img"].dtype == np.uint8
    assert changed["img_id"] == 7


def test_what_the_package_cannot_take_stays(stand_in):
    crowd, speck = square(5, 5, 30, 0, ignore_flag=1), square(70, 70, 1, 2)
    over = square(60, 60, 15, 4)
    over["bbox"] = [-3.0, 60.0, 90.0, 75.0]
    changed = SafeInstaBoost(aug_ratio=1.0).transform(image(crowd, speck, over))
    assert [x["category_id"] for x in stand_in.given[0]] == [4]
    assert stand_in.given[0][0]["bbox"] == [0, 60, 80, 15]
    assert changed["instances"][1:] == [crowd, speck]


def test_run_length_masks_become_polygons(stand_in):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[10:30, 12:40] = 1
    rows, columns = np.mgrid[:SIDE, :SIDE]
    mask[(rows - 60) ** 2 + (columns - 55) ** 2 < 150] = 1
    for rle in (coco.encode(np.asfortranarray(mask)), _uncompressed(mask)):
        back = coco.decode(coco.merge(coco.frPyObjects(to_polygons(rle), SIDE, SIDE)))
        assert (back == mask).all()
    SafeInstaBoost(aug_ratio=1.0).transform(image(square(12, 10, 20, 3, mask=coco.encode(np.asfortranarray(mask)))))
    assert len(stand_in.given[0][0]["segmentation"]) == 2


def _uncompressed(mask: np.ndarray) -> dict:
    flat, runs, value = mask.flatten(order="F"), [], 0
    while len(flat):
        n = int(np.argmax(flat != value)) if (flat != value).any() else len(flat)
        runs.append(n)
        flat, value = flat[n:], 1 - value
    return {"size": list(mask.shape), "counts": runs}


def test_an_image_that_would_lose_all_its_objects_stays(stand_in):
    stand_in.config.keep = False
    results = image(square(10, 10, 20, 3))
    changed = SafeInstaBoost(aug_ratio=1.0).transform(results)
    assert changed["instances"] == results["instances"]
    assert changed["img"] is results["img"]


def test_no_objects_and_no_chance(stand_in):
    empty = {"img": np.zeros((4, 4, 3), np.uint8), "instances": []}
    assert SafeInstaBoost(aug_ratio=1.0).transform(empty) is empty
    results = image(square(10, 10, 20, 3))
    assert SafeInstaBoost(aug_ratio=0.0).transform(results)["instances"] == results["instances"]
    assert not stand_in.given


@pytest.mark.skipif(not INSTALLED, reason=f"{PACKAGE} is not installed")
def test_the_package_itself():
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[45:65, 45:70] = 1
    results = image(square(10, 10, 20, 3), square(45, 45, 22, 1, mask=coco.encode(np.asfortranarray(mask))))
    before = results["img"].copy()
    transform = SafeInstaBoost(aug_ratio=1.0, color_prob=0.0)
    made = []
    for seed in (0, 0, 1):
        np.random.seed(seed)
        random.seed(seed)
        made.append(transform.transform({**results, "img": before.copy()}))
    assert [x["bbox_label"] for x in made[0]["instances"]] == [3, 1]
    assert (made[0]["img"] == made[1]["img"]).all()
    assert (made[0]["img"] != made[2]["img"]).any()
    for instance, size in zip(made[0]["instances"], (20, 25), strict=True):
        x1, _, x2, _ = instance["bbox"]
        assert 0.75 * size <= x2 - x1 <= 1.3 * size
        assert coco.area(coco.merge(coco.frPyObjects(instance["mask"], SIDE, SIDE))) > 200


@pytest.mark.skipif(not INSTALLED, reason=f"{PACKAGE} is not installed")
def test_the_package_itself_with_a_mask_in_pieces():
    """Outlines of different lengths, of which numpy makes no array; with equal ones it does, and nothing changes."""
    SafeInstaBoost()
    outlined = import_module(f"{PACKAGE}.pycococreater").binary_mask_to_polygon
    mask = np.zeros((12, 12), np.uint8)
    mask[1:3, 1:3] = 1
    mask[6:9, 5:11] = 1
    alike = np.zeros_like(mask)
    alike[1:3, 1:3] = alike[6:8, 5:7] = 1
    for drawn, areas in ((mask, [3.5, 17.5]), (alike, [3.5, 3.5])):  # an eighth less at each of four corners
        assert [_area(polygon) for polygon in outlined(drawn)] == areas
    assert min(outlined(mask)[0]) == 0.5 and max(outlined(mask)[0]) == 2.5

    two = np.zeros((SIDE, SIDE), np.uint8)
    two[10:30, 10:30] = two[12:22, 40:75] = 1
    np.random.seed(0)
    changed = SafeInstaBoost(aug_ratio=1.0, color_prob=0.0).transform(
        image(square(10, 10, 65, 3, bbox=[10, 10, 75, 30], mask=coco.encode(np.asfortranarray(two))))
    )
    assert len(changed["instances"][0]["mask"]) == 2


def _area(polygon: list[float]) -> float:
    x, y = np.array(polygon[::2]), np.array(polygon[1::2])
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
