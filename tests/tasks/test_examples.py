"""Examples for the qualitative figure: which classes and images, which detections, all in a thumbnail's pixels."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image as Picture
from pycocotools import mask as coco

from fasa.errors import UserError
from fasa.evaluation import Detections, load_detections, load_ground_truth
from fasa.tasks.detection.examples import chosen, examples

SIZE = (600, 960)  # height, width: a thumbnail is 300 x 480


def rectangle(x: int, y: int, w: int, h: int) -> dict:
    mask = np.zeros(SIZE, np.uint8, order="F")
    mask[y : y + h, x : x + w] = 1
    rle = coco.encode(mask)
    return {"size": list(SIZE), "counts": rle["counts"].decode()}


def annotations(letters: str, objects: list[tuple[int, int, tuple[int, int, int, int]]], kind: str = "lvis") -> dict:
    """Classes 1, 2, … of these letters; ``objects`` are (image, class, box)."""
    federated = {"neg_category_ids": [], "not_exhaustive_category_ids": []} if kind == "lvis" else {}
    lettered = [{"frequency": letter} if kind == "lvis" else {} for letter in letters]
    return {
        "images": [
            {"id": i, "height": SIZE[0], "width": SIZE[1], **federated} for i in sorted({o[0] for o in objects})
        ],
        "categories": [{"id": c + 1, "name": f"class{c + 1}", **extra} for c, extra in enumerate(lettered)],
        "annotations": [
            {
                "id": k + 1,
                "image_id": image,
                "category_id": category,
                "bbox": list(box),
                "area": box[2] * box[3],
                "iscrowd": 0,
                "segmentation": rectangle(*box),
            }
            for k, (image, category, box) in enumerate(objects)
        ],
    }


TRUTH = annotations(
    "rrfrrrrrr",
    [
        (7, 2, (0, 0, 50, 50)),
        (7, 2, (100, 100, 40, 10)),
        (8, 2, (0, 0, 40, 40)),
        (8, 3, (0, 0, 400, 400)),
        *((7, c, (10 * c, 0, 9, 9)) for c in range(4, 10)),
        (8, 4, (200, 200, 10, 10)),
    ],
)


@pytest.fixture
def paths(tmp_path) -> dict[int, str]:
    found = {}
    for image in (7, 8):
        path = tmp_path / f"{image}.png"
        Picture.new("RGB", SIZE[::-1], (image, 100, 200)).save(path)
        found[image] = str(path)
    return found


def detected(entries: list[tuple[int, int, float, tuple[int, int, int, int]]]) -> Detections:
    return load_detections(
        [
            {"image_id": i, "category_id": c, "score": s, "bbox": list(box), "segmentation": rectangle(*box)}
            for i, c, s, box in entries
        ]
    )


def test_the_first_six_rare_classes_each_where_it_is_largest():
    """Class 1 is not shown, 3 is frequent, 9 is the seventh; 2 is larger in image 7 (index 0), 4 in 8."""
    assert chosen(load_ground_truth(TRUTH), np.ones(9)) == [(1, 0), (3, 1), (4, 0), (5, 0), (6, 0), (7, 0)]


def test_without_frequencies_the_classes_with_the_fewest_training_instances():
    objects = [(5, c, (20 * c, 0, 9, 9)) for c in range(1, 9)]
    truth = load_ground_truth(annotations("........", objects, "coco"))
    counts = np.array([9, 1, 50, 2, 40, 3, 4, 5])
    assert [category for category, _ in chosen(truth, counts)] == [0, 1, 3, 5, 6, 7]


def test_boxes_and_masks_are_in_the_thumbnails_pixels(paths):
    found = detected([(7, 2, 0.9, (4, 2, 50, 50)), (7, 3, 0.35, (0, 0, 20, 20)), (7, 4, 0.29, (0, 0, 10, 10))])
    first = examples(load_ground_truth(TRUTH), found, paths, np.ones(9))[0]
    assert (first["category"], first["frequency"], first["image_id"]) == ("class2", "r", 7)
    assert (first["width"], first["height"]) == (480, 300)
    picture = Picture.open(io.BytesIO(base64.b64decode(first["jpeg"])))
    assert picture.size == (480, 300)
    assert np.abs(np.asarray(picture)[150, 240].astype(int) - [7, 100, 200]).max() < 6
    assert [entry["box"] for entry in first["truth"]] == [[0, 0, 25, 25], [50, 50, 20, 5]]
    assert [(entry["category"], entry["score"]) for entry in first["found"]] == [("class2", 0.9), ("class3", 0.35)]
    assert first["found"][0]["box"] == [2, 1, 25, 25]
    mask = coco.decode(first["found"][0]["mask"])
    expected = np.zeros((300, 480), np.uint8)
    expected[1:26, 2:27] = 1
    assert (mask == expected).all()
    mask = coco.decode(first["truth"][1]["mask"])
    assert mask[50:55, 50:70].all() and mask.sum() == 100


def test_the_best_alone_where_none_is_sure_and_ten_at_most(paths):
    unsure = detected([(7, 5, 0.1, (0, 0, 9, 9)), (7, 6, 0.2, (0, 0, 9, 9)), (8, 6, 0.9, (0, 0, 9, 9))])
    first = examples(load_ground_truth(TRUTH), unsure, paths, np.ones(9))[0]
    assert [entry["score"] for entry in first["found"]] == [0.2]
    many = detected([(7, 5, 0.3 + 0.01 * k, (k, 0, 9, 9)) for k in range(15)])
    first = examples(load_ground_truth(TRUTH), many, paths, np.ones(9))[0]
    assert [entry["score"] for entry in first["found"]] == pytest.approx([0.44 - 0.01 * k for k in range(10)])
    nothing = examples(load_ground_truth(TRUTH), detected([(8, 6, 0.9, (0, 0, 9, 9))]), paths, np.ones(9))[0]
    assert nothing["found"] == []


def test_a_small_picture_keeps_its_size_and_a_broken_one_is_named(paths, tmp_path, monkeypatch):
    monkeypatch.setattr("fasa.tasks.detection.examples.LONGEST_SIDE", 5000)
    first = examples(load_ground_truth(TRUTH), detected([(7, 2, 0.9, (4, 2, 50, 50))]), paths, np.ones(9))[0]
    assert (first["width"], first["height"]) == SIZE[::-1]
    assert first["found"][0]["box"] == [4, 2, 50, 50]
    (tmp_path / "7.png").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"7\.png cannot be read as an image"):
        examples(load_ground_truth(TRUTH), detected([(7, 2, 0.9, (4, 2, 50, 50))]), paths, np.ones(9))
