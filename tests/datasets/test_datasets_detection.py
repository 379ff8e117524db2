"""The manifest of a detection data set: from drawn scenes, and from a user's copy of official files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys_lvis import faulty, toy, write, write_images

from fasa.datasets import check_detection, lvis, prepare_detection, read_manifest
from fasa.datasets.annotation_check import Expected
from fasa.datasets.glyphs import verify
from fasa.datasets.manifest import list_path
from fasa.errors import UserError

SCENES = {"classes": 4, "train_images": 6, "val_images": 4, "side": 64, "objects": [2, 3]}


def test_scenes_are_drawn_and_described(tmp_path):
    prepare_detection("glyphs", SCENES, None, tmp_path / "manifest.json")
    manifest, made = read_manifest(tmp_path / "manifest.json"), verify(tmp_path / "scenes")
    train = json.loads(Path(manifest.train.annotations).read_bytes())
    assert manifest.classes == 4 and manifest.train_images == 6
    assert sum(manifest.instance_counts) == len(train["annotations"]) == made["annotations"]["train"]
    assert list(manifest.image_counts) == [category["image_count"] for category in train["categories"]]
    assert manifest.repeat_threshold == manifest.tail_threshold == made["repeat_threshold"]
    assert all((Path(manifest.val.images) / f"val/{number:06d}.jpg").exists() for number in range(7, 11))
    assert json.loads(list_path(tmp_path / "manifest.json", "frequencies").read_text()) == list(manifest.frequencies)


def test_a_wrong_option_is_named_before_anything_is_drawn(tmp_path):
    with pytest.raises(UserError, match="glyphs: clases is no option: choose from classes"):
        prepare_detection("glyphs", SCENES | {"clases": 4}, None, tmp_path / "manifest.json")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of an LVIS of three classes and images."""
    expected = Expected(name="LVIS", fix="get it again", classes=3, federated=True)
    monkeypatch.setattr(lvis, "SPLITS", {"train": expected, "val": expected})
    folder = write_images(tmp_path)
    for part in ("train", "val"):
        write(folder / f"lvis_v1_{part}.json", toy())
    return folder


def test_official_files_are_checked_and_described(source, tmp_path):
    prepare_detection("lvis", {}, source, tmp_path / "made/manifest.json")
    manifest = read_manifest(tmp_path / "made/manifest.json")
    assert (manifest.name, manifest.category_names, manifest.frequencies) == ("lvis", ("e", "g", "i"), ("f", "r", "c"))
    assert (manifest.instance_counts, manifest.image_counts, manifest.train_images) == ((3, 1, 0), (2, 1, 0), 2)
    assert manifest.val.annotations == str(source / "lvis_v1_val.json") and manifest.val.images == f"{source}/"
    assert (manifest.repeat_threshold, manifest.tail_threshold) == (1e-3, 1.1e-3)


def test_what_is_wrong_with_them_is_listed_and_nothing_is_written(source, tmp_path):
    write(source / "lvis_v1_val.json", faulty("bare"))
    (source / "val2017/000000000003.jpg").unlink()
    report = check_detection("lvis", source, tmp_path / "made")
    assert len(report.problems) == 3 and "lvis_v1_train.json has 3 images, but 1 of them not in" in report.problems[0]
    assert [fact.split(":")[0] for fact in report.facts] == ["lvis_v1_train.json"] * 2 + ["lvis_v1_val.json"] * 2
    assert report.counts is not None and report.counts.instances.tolist() == [3, 1, 0]
    with pytest.raises(UserError, match=r"has 3 images.* \(2 more; fasa data lists them with --check"):
        prepare_detection("lvis", {}, source, tmp_path / "made/manifest.json")
    assert not (tmp_path / "made").exists()


def test_what_cannot_be_prepared(tmp_path):
    with pytest.raises(UserError, match="lvis cannot be downloaded: give the folder that holds it, with --source"):
        prepare_detection("lvis", {}, None, tmp_path / "manifest.json")
    with pytest.raises(UserError, match=r"has neither train_coco2017_LT_sampled\.json nor class_to_imageid"):
        prepare_detection("coco_lt", {}, tmp_path, tmp_path / "manifest.json")
    with pytest.raises(UserError, match="glyphs has no official files: choose one of lvis, coco_lt"):
        check_detection("glyphs", None, tmp_path)


def test_a_missing_and_a_damaged_manifest_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="is missing: prepare the data first, with fasa data RECIPE"):
        read_manifest(tmp_path / "manifest.json")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="is damaged; delete it and run fasa data again"):
        read_manifest(tmp_path / "manifest.json")
