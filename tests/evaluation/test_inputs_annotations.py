"""Official annotations become columns exactly as lvis-api and pycocotools read them; every mistake is one sentence."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_toys import coco_document, lvis_document, refused
from pycocotools import mask as coco
from pycocotools.coco import COCO

from fasa.evaluation import GroundTruth, load_ground_truth, save_ground_truth

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' decode

NAN, INFINITY = float("nan"), float("inf")
MISSING = object()


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "cache"))


def written(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def decoded(truth: GroundTruth, g: int) -> np.ndarray:
    """Pixels of object g from its runs, bool [height, width]."""
    height, width = truth.image_sizes[truth.image[g]]
    runs = truth.runs[truth.run_start[g] : truth.run_start[g + 1]]
    return np.repeat(np.arange(len(runs)) % 2, runs).reshape(width, height).T.astype(bool)


def official(document: dict) -> COCO:
    """pycocotools' reading of a document."""
    api = COCO()
    api.dataset = copy.deepcopy(document)
    api.createIndex()
    return api


def test_lvis_becomes_columns():
    truth = load_ground_truth(lvis_document())
    assert (truth.kind, truth.name) == ("lvis", "annotations")
    assert truth.image_ids.tolist() == [10, 20, 30]
    assert truth.image_sizes.tolist() == [[10, 12], [8, 9], [10, 12]]
    assert truth.image_positions.tolist() == [1, 2, 0]
    assert truth.category_ids.tolist() == [1, 3, 5]
    assert truth.category_names == ("öne", "three", "five")
    assert truth.frequencies.tolist() == ["f", "c", "r"]
    assert truth.ids.tolist() == [2, 9, 7, 4]  # by image and category, file order inside
    assert truth.image.tolist() == [0, 2, 2, 2] and truth.category.tolist() == [0, 0, 1, 1]
    assert truth.position.tolist() == [1, 2, 0, 3]
    assert truth.area.tolist() == [30, 24.5, 24.5, 24.5]
    assert truth.box.tolist() == [[2, 2, 6, 4]] * 4
    assert truth.ignore.tolist() == [False, True, False, False] and not truth.crowd.any()
    assert truth.verified.tolist() == [[True, False, False], [True, False, False], [True, True, True]]
    assert truth.not_exhaustive.tolist() == [[False] * 3, [False] * 3, [False, True, False]]
    assert truth.image_start.tolist() == [0, 1, 1, 4]
    assert truth.notes == ("Left out, as by lvis-api: 1 annotation with an area of 0 or less, or infinite.",)


def test_coco_becomes_columns():
    document = coco_document()
    document["annotations"][0]["ignore"] = 1
    truth = load_ground_truth(document)
    assert truth.kind == "coco"
    assert truth.ids.tolist() == [2, 5, 9, 7, 4]  # an area of 0 stays
    assert truth.crowd.tolist() == truth.ignore.tolist() == [False, False, False, False, True]
    assert truth.frequencies.tolist() == [""] * 3 and truth.frequencies.dtype == "<U1"
    assert truth.verified.all() and not truth.not_exhaustive.any()
    assert truth.notes == ('Passed over, as by pycocotools: "ignore" of 2 annotations.',)


@pytest.mark.parametrize("document", [lvis_document(), coco_document()], ids=["lvis", "coco"])
def test_masks_are_those_of_the_official_tools(document: dict):
    truth = load_ground_truth(document)
    api = official(document)
    for g, id in enumerate(truth.ids.tolist()):
        rle = api.annToRLE(api.anns[id])
        np.testing.assert_array_equal(decoded(truth, g), coco.decode([rle])[:, :, 0].astype(bool))
        assert truth.mask_area[g] == coco.area(rle)
        assert truth.tight[g].tolist() == coco.toBbox(rle).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_random_polygons_are_drawn_as_pycocotools_draws_them(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    document = coco_document()
    document["annotations"] = [
        {
            "id": i + 1,
            "image_id": 10,
            "category_id": 1,
            "area": 1,
            "bbox": [0, 0, 1, 1],
            "segmentation": [
                rng.uniform(-3, 15, 2 * int(rng.integers(3, 9))).round(int(rng.integers(0, 4))).tolist()
                for _ in range(rng.integers(1, 4))
            ],
        }
        for i in range(40)
    ]
    document["annotations"][3]["segmentation"] = [[1, 1, 4, 5, 8, 2], [3, 2, 5.5, 6]]  # a line is no fault
    document["annotations"][4]["segmentation"][0] = [1, 2, 9, 3, 4, 8, 5]  # an odd number is passed over
    truth = load_ground_truth(written(tmp_path / "a.json", document))
    api = official(document)
    for g, id in enumerate(truth.ids.tolist()):
        rle = api.annToRLE(api.anns[id])
        np.testing.assert_array_equal(decoded(truth, g), coco.decode([rle])[:, :, 0].astype(bool))


def same(a: GroundTruth, b: GroundTruth) -> None:
    for key, value in vars(a).items():
        if isinstance(value, np.ndarray):
            assert value.dtype == vars(b)[key].dtype, key
            assert value.flags.carray and vars(b)[key].flags.carray, key
            np.testing.assert_array_equal(value, vars(b)[key], err_msg=key)
        elif key != "name":
            assert value == vars(b)[key], key


@pytest.mark.parametrize("document", [lvis_document(), coco_document()], ids=["lvis", "coco"])
def test_every_form_of_a_source_gives_the_same(tmp_path: Path, document: dict):
    expected = load_ground_truth(document)
    path = written(tmp_path / "a.json", document)
    packed, spaced = tmp_path / "a.json.gz", tmp_path / "b.json"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    spaced.write_text("\ufeff\n" + json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    careful = written(tmp_path / "c.json", {**document, "extra": NAN})
    own = tmp_path / "a.npz"
    save_ground_truth(expected, own)
    for source in (path, str(path), path, packed, spaced, careful, own):  # the second and third from the cache
        found = load_ground_truth(source)
        same(found, expected)
        assert found.name == str(source)
    assert load_ground_truth(expected) is expected


def test_annotations_may_have_boxes_only(tmp_path: Path):
    document = lvis_document()
    for entry, mask in zip(document["annotations"], [MISSING, None, [], MISSING, []], strict=True):
        entry["segmentation"] = mask
        if mask is MISSING:
            del entry["segmentation"]
    for source in (document, written(tmp_path / "a.json", document)):
        truth = load_ground_truth(source)
        assert truth.mask_area.tolist() == [-1] * 4 and len(truth.runs) == 0
        assert not truth.tight.any() and truth.run_start.tolist() == [0] * 5


def test_no_annotations_are_fine():
    truth = load_ground_truth({**lvis_document(), "annotations": []})
    assert len(truth.ids) == 0 and truth.box.shape == truth.tight.shape == (0, 4)
    assert truth.verified.sum() == 2
    assert truth.image_start.tolist() == [0] * 4


def test_what_lvis_api_never_sees_may_be_broken():
    document = lvis_document()
    document["annotations"][4]["segmentation"] = "no mask"
    document["annotations"][0]["area"] = INFINITY
    assert load_ground_truth(document).ids.tolist() == [2, 9, 4]


def test_unusual_numbers_are_taken_as_python_takes_them(tmp_path: Path):
    document = lvis_document()
    document["images"][0] |= {"id": 30.0, "height": 10.0}
    document["annotations"][0] |= {"id": 7.0, "iscrowd": True, "ignore": 0.0}
    same(load_ground_truth(written(tmp_path / "a.json", document)), load_ground_truth(document))
    assert "iscrowd" in load_ground_truth(document).notes[1]


POLYGON = [1, 1, 5, 1, 5, 5]
RLE = {"size": [10, 12], "counts": [20, 30, 70]}
MISTAKES = [  # where, place, field, value, what the sentence says
    ("images", 1, "id", MISSING, "add it"),
    ("images", 1, "id", "10", "whole number"),
    ("images", 1, "id", 30, "an earlier image"),
    ("images", 1, "height", 0, "whole number from 1"),
    ("images", 1, "width", 9.5, "whole number from 1"),
    ("images", 1, "width", 2**31, "whole number from 1"),
    ("images", 1, "neg_category_ids", MISSING, "other images of LVIS"),
    ("images", 1, "not_exhaustive_category_ids", MISSING, "other images of LVIS"),
    ("images", 1, "neg_category_ids", 5, "list of category ids"),
    ("images", 1, "not_exhaustive_category_ids", ["5"], "whole number"),
    ("categories", 2, "id", MISSING, "add it"),
    ("categories", 2, "id", 1, "an earlier category"),
    ("categories", 2, "id", None, "whole number"),
    ("categories", 2, "name", 7, "write text"),
    ("categories", 2, "frequency", MISSING, '"r", "c" or "f"'),
    ("categories", 2, "frequency", "x", '"r", "c" or "f"'),
    ("categories", 2, "frequency", 1, "write text"),
    ("annotations", 3, "id", MISSING, "add it"),
    ("annotations", 3, "id", 0, "count from 1"),
    ("annotations", 3, "id", 2, "an earlier annotation"),
    ("annotations", 3, "id", "4", "whole number"),
    ("annotations", 3, "id", 2**64, "whole number"),
    ("annotations", 3, "image_id", MISSING, "add it"),
    ("annotations", 3, "image_id", 77, "no such image"),
    ("annotations", 3, "image_id", None, "whole number"),
    ("annotations", 3, "category_id", MISSING, "add it"),
    ("annotations", 3, "category_id", 4, "no such category"),
    ("annotations", 3, "area", MISSING, "add it"),
    ("annotations", 3, "area", "24", "finite number"),
    ("annotations", 3, "area", NAN, "finite number"),
    ("annotations", 3, "bbox", [1, 2, 3], "four finite numbers"),
    ("annotations", 3, "bbox", [1, 2, 3, NAN], "four finite numbers"),
    ("annotations", 3, "bbox", [1, 2, 3, -1], "four finite numbers"),
    ("annotations", 3, "bbox", [1, 2, 3, "4"], "four finite numbers"),
    ("annotations", 3, "iscrowd", "0", "0 or 1"),
    ("annotations", 3, "ignore", None, "0 or 1"),
    ("annotations", 3, "segmentation", "mask", "RLE"),
    ("annotations", 3, "segmentation", 5, "RLE"),
    ("annotations", 3, "segmentation", {}, '"size"'),
    ("annotations", 3, "segmentation", POLYGON, "each polygon"),
    ("annotations", 3, "segmentation", [[]], "three points"),
    ("annotations", 3, "segmentation", [POLYGON, [1, 2, 3]], "three points"),
    ("annotations", 3, "segmentation", [[1, 2, 3, 4], POLYGON], "three points"),
    ("annotations", 3, "segmentation", ["123456"], "each polygon"),
    ("annotations", 3, "segmentation", [POLYGON, {"size": 1}], "each polygon"),
    ("annotations", 3, "segmentation", [["1", "1", "5", "1", "5", "5"]], "finite number"),
    ("annotations", 3, "segmentation", [[*POLYGON, NAN, 1]], "finite number"),
    ("annotations", 3, "segmentation", [[*POLYGON, None, 1]], "finite number"),
    ("annotations", 3, "segmentation", [[POLYGON] * 6], "finite number"),
    ("annotations", 3, "segmentation", [[*POLYGON, 1e7, 1]], "within 1000000 pixels"),
    ("annotations", 3, "segmentation", {**RLE, "size": [12, 10]}, "its image is [10, 12]"),
    ("annotations", 3, "segmentation", {**RLE, "counts": [20, 30, 71]}, "height x width"),
    ("annotations", 3, "segmentation", {**RLE, "counts": [20, -30, 130]}, "whole number"),
    ("annotations", 3, "segmentation", {**RLE, "counts": [20.5, 30, 69.5]}, "whole number"),
    ("annotations", 3, "segmentation", {**RLE, "counts": "d0N"}, "negative length"),
    ("annotations", 3, "segmentation", {**RLE, "counts": "d0 "}, "a character that"),
    ("annotations", 3, "segmentation", {**RLE, "counts": None}, '"counts"'),
]


@pytest.mark.parametrize("as_file", [True, False], ids=["file", "dict"])
@pytest.mark.parametrize(("part", "i", "field", "value", "says"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_faulty_field_is_named_with_its_entry(tmp_path, part, i, field, value, says, as_file):
    document = lvis_document()
    document[part][i][field] = value
    if value is MISSING:
        del document[part][i][field]
    source = written(tmp_path / "a.json", document) if as_file else document
    sentence = refused(load_ground_truth, source)
    label = {"images": "image", "categories": "category", "annotations": "annotation"}[part]
    assert sentence.startswith(f"{tmp_path / 'a.json' if as_file else 'annotations'}: {label} {i}"), sentence
    assert says in sentence and (field in sentence or value == "d0 "), sentence


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": MISSING}, 'no "images"'),
        ({"categories": MISSING}, 'no "categories"'),
        ({"annotations": MISSING}, 'no "annotations"'),
        ({"images": []}, "has no images"),
        ({"categories": []}, "has no categories"),
        ({"images": {}}, '"images"'),
        ({"annotations": None}, '"annotations"'),
        ({"annotations": [7]}, "annotation 0 is int"),
        ({"images": [None]}, "image 0 is NoneType"),
    ],
)
def test_an_incomplete_document_is_refused(tmp_path: Path, change: dict, says: str):
    document = {key: value for key, value in {**lvis_document(), **change}.items() if value is not MISSING}
    assert says in refused(load_ground_truth, document)
    assert says in refused(load_ground_truth, written(tmp_path / "a.json", document))


def test_an_infinite_area_of_coco_is_refused(tmp_path: Path):
    document = coco_document()
    document["annotations"][2]["area"] = INFINITY
    assert 'annotation 2 has an infinite "area"' in refused(load_ground_truth, written(tmp_path / "a.json", document))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" ", "is empty"),
        (b"[]", "like results"),
        (b"7", "is int"),
        (b"{", "no JSON or was cut short"),
        (b"{}", 'no "images"'),
        (b'{"images": "\xff"}', "not UTF-8"),
        (b'{"images": ' + b"9" * 5000 + b"}", "cannot be read"),
        (b"[" * 100_000, "like results"),
        (b'{"images": ' + b"[" * 100_000, "cannot be read"),
    ],
)
def test_a_file_without_annotations_is_refused(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    sentence = refused(load_ground_truth, path)
    assert sentence.startswith(str(path)) and says in sentence, sentence


def test_a_file_cut_anywhere_is_refused(tmp_path: Path):
    path = tmp_path / "a.json"
    content = json.dumps(lvis_document()).encode()
    for whole in (content, gzip.compress(content, mtime=0)):
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            assert refused(load_ground_truth, path).startswith(str(path))


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path):
    assert "does not exist" in refused(load_ground_truth, tmp_path / "nothing.json")
    assert "is a folder" in refused(load_ground_truth, str(tmp_path))
    assert "give one of those" in refused(load_ground_truth, 7)
