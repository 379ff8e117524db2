"""LVIS and COCO annotations checked against their images: each fault is one sentence, a right copy has none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys_lvis import faulty, original, toy, write, write_images

from fasa.datasets import lvis
from fasa.datasets.annotation_check import Expected, compare
from fasa.datasets.annotation_counts import count_annotations, images_with
from fasa.errors import UserError
from fasa.evaluation.io.annotation_json import read

TOY = Expected(name="toy", fix="make it again", classes=3, federated=True, frequencies={"r": 1, "c": 1, "f": 1})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path)


def problems(tmp_path: Path, folder: Path, document: Any, expected: Expected = TOY) -> tuple[str, ...]:
    return compare(write(tmp_path / "toy.json", document), folder, expected).problems


def test_a_right_copy_has_no_problems(tmp_path, folder):
    report = compare(write(tmp_path / "toy.json", toy()), folder, TOY)
    assert report.problems == ()
    assert report.facts == (
        "toy.json: 3 images, 2 of them with an annotation; 4 annotations of 2 of 3 classes.",
        "toy.json: 1 / 1 / 1 rare / common / frequent classes; 1 images with a rare or common annotation.",
    )


def test_counts_by_hand(tmp_path):
    path = write(tmp_path / "toy.json", toy())
    counts = count_annotations(path)
    assert counts.ids.tolist() == [5, 7, 9]
    assert (counts.names, counts.frequencies) == (("e", "g", "i"), ("f", "r", "c"))
    assert counts.instances.tolist() == [3, 1, 0]
    assert counts.images.tolist() == [2, 1, 0]
    assert images_with(read(path), "rc", "toy").tolist() == [2]
    assert images_with(read(path), "f", "toy").tolist() == [1, 2]


def test_counts_follow_the_file_not_the_ids(tmp_path, folder):
    document = toy()
    document["categories"].reverse()
    path = write(tmp_path / "toy.json", document)
    assert count_annotations(path).instances.tolist() == [0, 1, 3]
    assert "by ascending id" in compare(path, folder, TOY).problems[0]


def test_missing_images_are_named(tmp_path, folder):
    (folder / "val2017/000000000003.jpg").unlink()
    (sentence,) = problems(tmp_path, folder, toy())
    assert sentence.startswith(f"toy.json has 3 images, but 1 of them not in {folder} (val2017/000000000003.jpg): put")


def test_a_folder_too_deep_has_none_of_the_images(tmp_path, folder):
    (sentence,) = problems(tmp_path, folder / "train2017", toy(), replace(TOY, image_fix=lvis.IMAGE_FIX))
    assert "3 images, but none in" in sentence and "holds train2017 and val2017" in sentence


def test_many_missing_images_are_counted(tmp_path, folder):
    document = toy()
    document["images"] += [dict(document["images"][0], id=i, coco_url=f"train2017/{i}.jpg") for i in range(10, 30)]
    (sentence,) = problems(tmp_path, folder, document)
    assert "20 of them not" in sentence and "train2017/19.jpg and 10 more)" in sentence


def test_wrong_sizes_and_damaged_images_are_named(tmp_path, folder):
    Image.new("RGB", (4, 6)).save(folder / "val2017/000000000002.jpg")
    whole = (folder / "val2017/000000000003.jpg").read_bytes()
    (folder / "val2017/000000000003.jpg").write_bytes(whole[: len(whole) // 2])
    (sentence,) = problems(tmp_path, folder, toy())
    assert sentence.startswith(f"Of 3 images of toy.json that were decoded, 2 are wrong in {folder}")
    assert "000000000002.jpg (4 x 6, not 6 x 4)" in sentence
    assert "000000000003.jpg (cannot be decoded: OSError)" in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        (json.dumps(toy())[:-100], "is damaged or was cut short"),
        ("[1, 2]", "is no annotations file"),
        ('{"images": [{"id": 1}]}', "missing required field `height`"),
        ("PK\x03\x04rest", "is a ZIP archive: unpack it"),
        ("<html>Not found</html>", "is damaged"),
    ],
)
def test_unreadable_files(tmp_path, folder, content, words):
    (sentence,) = problems(tmp_path, folder, content)
    assert words in sentence


def test_a_file_that_is_not_there(tmp_path):
    (sentence,) = lvis.check(tmp_path / "absent.json", tmp_path, "val").problems
    assert sentence.endswith("cannot be read (No such file or directory): name an annotations file.")


def test_wrong_versions_are_recognised(tmp_path, folder):
    document = toy()
    document["categories"] = [{"id": i, "name": str(i), "frequency": "r"} for i in range(1, 1231)]
    path = write(tmp_path / "lvis_v0.5_val.json", document)
    assert lvis.check(path, folder, "val").problems == (
        "lvis_v0.5_val.json has 1,230 classes where LVIS v1 val has 1,203, so it is LVIS v0.5: "
        "get lvis_v1_val.json from lvisdataset.org.",
    )
    with pytest.raises(UserError, match="no split minival: choose one of train, val"):
        lvis.check(path, folder, "minival")


def test_wrong_numbers(tmp_path, folder):
    expected = replace(TOY, images=4, annotated_images=2, instances=5, frequencies={"r": 2})
    assert problems(tmp_path, folder, toy(), expected) == (
        "toy.json has 3 images where toy has 4: make it again.",
        "toy.json has 4 annotations where toy has 5: make it again.",
        'toy.json has 1 classes of frequency "r" where toy has 2: make it again.',
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("twice", "has 1 annotation entries with the id of an earlier one"),
        ("stray", "has 1 annotations of images that it does not list, such as annotation 2"),
        ("category", "annotation 2 is of category 6, which is not in the file"),
        ("bare", "has 2 annotations without a mask"),
        ("negatives", 'gives 1 images, such as 2, no "neg_category_ids"'),
        ("frequency", 'gives 1 classes, such as 9, no "frequency" r, c or f'),
    ],
)
def test_faulty_entries(tmp_path, folder, change, words):
    sentences = problems(tmp_path, folder, faulty(change), replace(TOY, frequencies={}))
    assert len(sentences) == 1 and words in sentences[0], sentences


def test_real_lvis_annotations(tmp_path):
    path = original("lvis/lvis_val_100.json")
    counts = count_annotations(path)
    assert (len(counts.ids), counts.instances.sum()) == (1230, 977)
    document = json.loads(path.read_text())
    assert counts.images.tolist() == [
        len({a["image_id"] for a in document["annotations"] if a["category_id"] == c["id"]})
        for c in document["categories"]
    ]
    (tmp_path / "val2017").symlink_to(path.parent / "images")
    report = compare(path, tmp_path)
    (sentence,) = report.problems  # 64 of the 100 images are there
    assert "100 images, but 36 of them not in" in sentence
    assert "1230" in lvis.check(path, tmp_path, "val").problems[0].replace(",", "")


@pytest.mark.parametrize("split", ["train", "val"])
def test_real_coco_annotations_and_images(split):
    folder = original("coco_mini")
    report = compare(folder / f"instances_{split}.json", folder / split)
    assert report.problems == ()
    assert report.counts.instances.sum() == {"train": 739, "val": 624}[split]


def test_letters_of_lvis_v1():
    categories = json.loads(original("lvis/lvis_v1_train_cat_info.json").read_text())
    letters = [category["frequency"] for category in categories]
    assert {letter: letters.count(letter) for letter in "rcf"} == dict(lvis.FREQUENCIES)
    assert len(categories) == lvis.CLASSES
    assert sum(c["instance_count"] for c in categories) == lvis.SPLITS["train"].instances
    bounds = [max(c["image_count"] for c in categories if c["frequency"] == letter) for letter in "rc"]
    assert bounds == [10, 100]
    assert np.all(np.diff([category["id"] for category in categories]) == 1)
