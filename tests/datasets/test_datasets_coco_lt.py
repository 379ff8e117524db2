"""COCO-LT from SimCal's index: by hand on a made-up one, and the facts of the real one."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys_lvis import original

from fasa.datasets import coco_lt
from fasa.datasets.annotation_check import Expected
from fasa.datasets.coco_lt import Index, bin_classes, read_index, rebuild
from fasa.errors import UserError

# Images of cats (category 17) and dogs (18): annotations by image, in the order of the file.
PLACES = [(40, 17), (10, 17), (10, 17), (10, 18), (20, 18), (20, 18), (30, 18), (20, 17), (30, 17)]


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Four images and nine annotations in COCO's format."""
    document = {
        "info": {"description": "made up"},
        "licenses": [{"id": 1}],
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 4, "width": 4, "license": 1} for i in (10, 20, 30, 40)],
        "annotations": [
            {"segmentation": [[0, 0, 1.5, 0, 1, 1]], "area": 1.0, "iscrowd": 0, "image_id": image, "bbox": [0, 0, 1, 1]}
            | {"category_id": category, "id": 100 + i, "note": "é"}
            for i, (image, category) in enumerate(PLACES)
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
    }
    path = tmp_path / "instances_train2017.json"
    path.write_text(json.dumps(document))
    return path


def entry(images: list[int], instances: int, places: list[int]) -> dict[str, Any]:
    return {"img_id": images, "isntance_count": instances, "image_info_id": places, "category_id": 0}


def index_of(tmp_path: Path, cats: dict[str, Any], dogs: dict[str, Any]) -> Index:
    path = tmp_path / "index.pt"
    path.write_bytes(pickle.dumps({1: cats, 2: dogs}))
    return read_index(path)


@pytest.fixture
def whole(tmp_path: Path) -> Index:
    """Cats of images 10 and 40, dogs of 20: all their instances."""
    return index_of(tmp_path, entry([40, 10], 3, [0, 1]), entry([20], 2, [2]))


def test_rebuilt_by_hand(tmp_path, annotations, whole):
    note = rebuild(whole, annotations, tmp_path / "lt.json")
    assert note == "COCO-LT: 3 images, 5 instances, as SimCal's index has them."
    made, source = (json.loads(path.read_text()) for path in (tmp_path / "lt.json", annotations))
    assert [image["id"] for image in made["images"]] == [40, 10, 20]  # the index's order
    assert made["annotations"] == [source["annotations"][i] for i in (0, 1, 2, 4, 5)]  # whole, in the file's order
    assert made["licenses"] == source["licenses"]
    assert made["categories"] == source["categories"][::-1]  # by id
    assert made["info"]["description"] == note


def test_another_total_is_refused_by_name(tmp_path, annotations):
    index = index_of(tmp_path, entry([40, 10], 2, [0, 1]), entry([20], 2, [2]))
    with pytest.raises(UserError, match=r"more than COCO-LT's cat \(3, not 2\), .* give SimCal's train_coco2017_LT"):
        rebuild(index, annotations, tmp_path / "lt.json")
    assert not (tmp_path / "lt.json").exists()


def test_annotations_of_another_year(tmp_path, annotations, whole):
    short = index_of(tmp_path, entry([40, 10], 4, [0, 1]), entry([20], 2, [2]))
    with pytest.raises(UserError, match=r"too few instances of cat \(3, not 4\): get instances_train2017.json"):
        rebuild(short, annotations, tmp_path / "lt.json")
    elsewhere = index_of(tmp_path, entry([40, 10], 3, [0, 1]), entry([40], 2, [0]))
    with pytest.raises(UserError, match="no annotation of dog in image 40, which COCO-LT has"):
        rebuild(elsewhere, annotations, tmp_path / "lt.json")
    document = json.loads(annotations.read_text())
    annotations.write_text(json.dumps(document | {"images": document["images"][:3]}))
    with pytest.raises(UserError, match="does not list image 40: get"):
        rebuild(whole, annotations, tmp_path / "lt.json")
    annotations.write_text(json.dumps(document | {"categories": [*document["categories"], {"id": 19, "name": "cow"}]}))
    with pytest.raises(UserError, match="has 3 classes where the index of COCO-LT has 2"):
        rebuild(whole, annotations, tmp_path / "lt.json")


class Harmful:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(
    "content",
    [
        Harmful(),
        [1, 2],
        {1: {"img_id": [1]}},
        {2: entry([1], 1, [0])},
        {1: entry([1, 1], 2, [0, 0])},
        {1: entry([1, 2], 1, [0, 1])},
        {},
    ],
)
def test_other_pickles_are_refused(tmp_path, content, capsys):
    path = tmp_path / "index.pt"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"index\.pt is no"):
        read_index(path)
    assert capsys.readouterr().out == ""
    with pytest.raises(UserError, match="cannot be read"):
        read_index(tmp_path / "absent.pt")


def test_bins():
    assert bin_classes(np.array([1, 19, 20, 399, 400, 7999, 8000, 10**6])) == (2, 2, 2, 2)
    assert bin_classes(np.array([0, 5])) == (1, 0, 0, 0)


def test_a_training_file_is_checked(tmp_path, annotations, whole, monkeypatch):
    train = Expected(name="COCO-LT train", fix="rebuild it", classes=2, annotated_images=3, instances=5)
    monkeypatch.setattr(coco_lt, "TRAIN", train)
    monkeypatch.setattr(coco_lt, "CLASSES", 2)
    monkeypatch.setattr(coco_lt, "BIN_CLASSES", (2, 0, 0, 0))
    for i in (10, 20, 40):
        (tmp_path / f"{i}.jpg").write_bytes(b"")
    rebuild(whole, annotations, tmp_path / "lt.json")
    report = coco_lt.check(tmp_path / "lt.json", tmp_path, whole, sample=0)
    assert report.problems == ()
    assert report.facts[-1] == "lt.json: 2 / 0 / 0 / 0 classes in SimCal's four bins."

    monkeypatch.setattr(coco_lt, "BIN_CLASSES", (1, 1, 0, 0))
    other = replace(whole, instances=np.array([3, 1]))
    problems = coco_lt.check(tmp_path / "lt.json", tmp_path, other, sample=0).problems
    assert problems == (
        "lt.json has 2 / 0 / 0 / 0 classes in SimCal's four bins where COCO-LT has 1 / 1 / 0 / 0: rebuild it.",
        "lt.json has another number of instances than the index of dog (2, not 1): rebuild it.",
    )
    assert "9 annotations where COCO-LT train has 5" in coco_lt.check(annotations, tmp_path, sample=0).problems[1]


def test_the_real_index():
    index = read_index(original(f"coco_lt/{coco_lt.INDEX}"))
    assert len(index.images) == coco_lt.CLASSES
    assert len(index.order) == len(np.unique(index.order)) == coco_lt.IMAGES
    assert np.array_equal(np.unique(index.order), np.unique(np.concatenate(index.images)))
    assert index.instances.sum() == coco_lt.INSTANCES
    assert (index.instances.min(), index.instances.max()) == (11, 262_465)
    assert index.bins() == coco_lt.BIN_CLASSES
    assert (np.flatnonzero(index.instances < 20) + 1).tolist() == [11, 13, 30, 80]
    assert (1 / index.instances).sum() == pytest.approx(0.7763038, abs=1e-6)
    assert len(index.images[0]) == 64_115 and len(index.images[4]) == 608 and index.instances[4] == 686


def test_the_whole_index_rebuilds(tmp_path):
    """Made-up annotations with as many instances as the index wants: 666,493, written and found right."""
    index = read_index(original(f"coco_lt/{coco_lt.INDEX}"))
    entries = []
    for k, images in enumerate(index.images):
        extra = int(index.instances[k]) - len(images)
        for image in [*images.tolist(), *([int(images[0])] * extra)]:
            place = f'"image_id":{image},"category_id":{k + 1},"id":{len(entries) + 1}'
            entries.append(f'{{{place},"area":1.0,"bbox":[0,0,1,1],"segmentation":[[0,0,1,0,1,1]]}}')
    images = [f'{{"id":{i},"height":4,"width":4,"file_name":"{i:012}.jpg"}}' for i in sorted(index.order.tolist())]
    categories = json.dumps([{"id": k, "name": str(k)} for k in range(1, 81)])
    path = tmp_path / "instances_train2017.json"
    path.write_text(f'{{"images":[{",".join(images)}],"annotations":[{",".join(entries)}],"categories":{categories}}}')
    rebuild(index, path, tmp_path / "lt.json")
    (sentence,) = coco_lt.check(tmp_path / "lt.json", tmp_path, index, sample=0).problems
    assert sentence.startswith("lt.json has 99,411 images, but none in ")
