"""The folder of glyph scenes: the same bytes from a seed, whole or not at all, and what the official tools read."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fasa.datasets.glyphs import GlyphScenes, crops, generate, verify
from fasa.errors import UserError

SPEC = GlyphScenes(classes=12, train_images=40, val_images=20, side=64, objects=(2, 4), size=(0.2, 0.5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("glyphs") / "scenes"
    assert generate(SPEC, folder) == folder / "dataset.json"
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_seed_gives_the_same_bytes_whatever_the_processes(folder, tmp_path):
    seen = []
    generate(SPEC, tmp_path / "two", progress=lambda done, total: seen.append((done, total)), processes=2)
    assert contents(tmp_path / "two") == contents(folder)
    assert seen == [(32, 60), (40, 60), (60, 60)]


def test_another_seed_gives_other_pixels(folder, tmp_path):
    generate(GlyphScenes(**{**SPEC.to_json(), "seed": 1}), tmp_path / "other")
    ours, other = contents(folder), contents(tmp_path / "other")
    assert ours.keys() == other.keys()
    assert not any(ours[name] == other[name] for name in ours)


def test_what_dataset_json_says(folder):
    document = verify(folder, pixels=True)
    assert GlyphScenes(**document["spec"]) == SPEC
    assert document["images"] == {"train": 40, "val": 20}
    assert sum(document["classes"].values()) == 12
    train, val = (json.loads((folder / f"{split}.json").read_bytes()) for split in ("train", "val"))
    assert document["annotations"] == {"train": len(train["annotations"]), "val": len(val["annotations"])}
    absent = set(range(1, 13)) - {annotation["category_id"] for annotation in val["annotations"]}
    assert document["categories_without_val"] == sorted(absent) and len(absent) == 1
    pixels = np.stack([np.asarray(Image.open(folder / image["file_name"])) for image in train["images"]])
    np.testing.assert_allclose(document["pixel_mean"], pixels.mean((0, 1, 2)), atol=0.5)  # JPEG rounds
    np.testing.assert_allclose(document["pixel_std"], pixels.std((0, 1, 2)), atol=0.5)


def test_the_annotations_are_lvis_and_exact(folder):
    documents = [json.loads((folder / f"{split}.json").read_bytes()) for split in ("train", "val")]
    ids = [annotation["id"] for document in documents for annotation in document["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    assert [image["id"] for document in documents for image in document["images"]] == list(range(1, 61))
    assert documents[0]["categories"] == documents[1]["categories"]
    for split, document in zip(("train", "val"), documents, strict=True):
        taken: dict[int, np.ndarray] = {}
        for image in document["images"]:
            assert image["coco_url"] == image["file_name"] == f"{split}/{image['id']:06d}.jpg"
            with Image.open(folder / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"]) == (64, 64)
            taken[image["id"]] = np.zeros((64, 64), dtype=int)
        for annotation in document["annotations"]:
            mask = coco_mask.decode(annotation["segmentation"])
            rows, columns = np.nonzero(mask)
            x, y, width, height = annotation["bbox"]
            assert (x, y, x + width - 1, y + height - 1) == (columns.min(), rows.min(), columns.max(), rows.max())
            assert annotation["area"] == mask.sum() >= 12
            taken[annotation["image_id"]] += mask
        assert all(owners.max() == 1 for owners in taken.values())  # a visible pixel is one object's
    counts = {category["id"]: category["instance_count"] for category in documents[0]["categories"]}
    for category, count in counts.items():
        assert count == sum(annotation["category_id"] == category for annotation in documents[0]["annotations"])


def test_lvis_api_reads_and_scores_them(folder, monkeypatch):
    monkeypatch.setattr(np, "float", float, raising=False)  # lvis-api 0.5.3 is older than numpy 1.24
    monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers, logging.NullHandler()])
    lvis = pytest.importorskip("lvis")
    truth = lvis.LVIS(str(folder / "val.json"))
    assert len(truth.get_img_ids()) == 20 and len(truth.get_cat_ids()) == 12
    annotations = list(truth.anns.values())
    results = [
        {key: annotation[key] for key in ("image_id", "category_id", "segmentation")} | {"score": 0.9}
        for annotation in annotations
    ]
    negative = next(image for image in truth.imgs.values() if image["neg_category_ids"])
    false = results[0] | {"image_id": negative["id"], "category_id": negative["neg_category_ids"][0], "score": 0.95}
    for detections, perfect in ((results, True), ([*results, false], False)):
        scored = lvis.LVISEval(truth, lvis.LVISResults(truth, [dict(entry) for entry in detections]), "segm")
        scored.run()
        assert (scored.get_results()["AP"] > 0.999) == perfect


def test_pycocotools_reads_them(folder, capsys):
    coco = COCO(str(folder / "train.json"))
    capsys.readouterr()
    first = coco.loadAnns(coco.getAnnIds(imgIds=[1]))[0]
    assert coco.annToMask(first).sum() == first["area"]


def test_a_whole_data_set_is_left_as_it_is(folder):
    before = (folder / "train" / "000001.jpg").stat().st_mtime_ns
    generate(SPEC, folder, progress=lambda done, total: pytest.fail("it was made again"))
    assert (folder / "train" / "000001.jpg").stat().st_mtime_ns == before


def test_scenes_of_an_older_version_are_still_read(folder, tmp_path):
    """It wrote options into dataset.json that no data set ever set; the scenes are the same."""
    shutil.copytree(folder, tmp_path / "old")
    document = json.loads((folder / "dataset.json").read_bytes())
    document["spec"] |= {"first_class": 0, "turn": 25.0, "negatives": [4, 12]}
    (tmp_path / "old/dataset.json").write_text(json.dumps(document))
    generate(SPEC, tmp_path / "old", progress=lambda done, total: pytest.fail("it was made again"))
    assert verify(tmp_path / "old", pixels=True) == verify(folder)


def test_a_killed_generation_is_never_taken_for_whole(folder, tmp_path):
    def kill(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(SPEC, tmp_path / "killed", progress=kill)
    with pytest.raises(UserError, match=r"has no dataset\.json"):
        verify(tmp_path / "killed")
    (tmp_path / "killed" / "train" / "999999.jpg").write_bytes(b"of a longer one")
    generate(SPEC, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(folder)


def test_what_is_not_ours_is_not_touched(folder, tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(UserError, match="neither empty nor an unfinished data set"):
        generate(SPEC, tmp_path)
    assert (tmp_path / "train" / "holiday.jpg").read_bytes() == b"precious"
    with pytest.raises(UserError, match="is a file"):
        generate(SPEC, tmp_path / "train" / "holiday.jpg")
    with pytest.raises(UserError, match="of another spec"):
        generate(GlyphScenes(**{**SPEC.to_json(), "texture": 0.5}), folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "val" / "000041.jpg").unlink(), "lacks val/000041.jpg"),
        (lambda folder: [path.unlink() for path in (folder / "train").iterdir()], "train/000003.jpg and 37 more"),
        (lambda folder: (folder / "train" / "000002.jpg").write_bytes(b""), "lacks train/000002.jpg"),
        (lambda folder: (folder / "val.json").unlink(), "val.json is missing or was changed"),
        (lambda folder: (folder / "train.json").write_text("{}"), "train.json is missing or was changed"),
        (lambda folder: (folder / "dataset.json").unlink(), "has no dataset.json"),
        (lambda folder: (folder / "dataset.json").write_text("{}"), "dataset.json cannot be read"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    spec = GlyphScenes(**{**SPEC.to_json(), "classes": 4})
    generate(spec, tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        verify(tmp_path)


def test_a_changed_pixel_shows_when_asked_for(tmp_path):
    generate(SPEC, tmp_path)
    image = tmp_path / "val" / "000050.jpg"
    image.write_bytes((tmp_path / "val" / "000051.jpg").read_bytes())
    verify(tmp_path)
    with pytest.raises(UserError, match=r"An image in .*val was changed"):
        verify(tmp_path, pixels=True)


def test_crops_are_labelled_varied_and_repeatable():
    images, labels = crops(classes=5, per_class=6, side=32, seed=3, first_class=100)
    assert images.shape == (30, 3, 32, 32) and images.dtype == np.uint8
    assert labels.dtype == np.int64 and labels.tolist() == np.repeat(range(5), 6).tolist()
    assert len({image.tobytes() for image in images}) == 30
    again, _ = crops(classes=5, per_class=6, side=32, seed=3, first_class=100, processes=2)
    np.testing.assert_array_equal(images, again)
    fewer, _ = crops(classes=5, per_class=2, side=32, seed=3, first_class=100)
    np.testing.assert_array_equal(images.reshape(5, 6, -1)[:, :2], fewer.reshape(5, 2, -1))
    other, _ = crops(classes=5, per_class=2, side=32, seed=4, first_class=100)
    assert not np.array_equal(fewer, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((5, 0, 32), "0 crops"), ((5, 1, 8), "crops of 8 pixels"), ((2000, 1, 32), "the catalogue has 1565")],
)
def test_crops_that_cannot_be_made(arguments, message):
    with pytest.raises(UserError, match=message):
        crops(*arguments)
