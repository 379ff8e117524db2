"""The images of ``fasa score --page``: who is hit and missed, thumbnails and boxes."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation_toys import disc_problem
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from toys_page import FIRST, SECOND, Page, annotations, results

from fasa.evaluation import (
    load_detections,
    load_ground_truth,
    match,
    overlaps,
    save_detections,
    save_ground_truth,
    subset,
)
from fasa.evaluation.score.page.boxes import detection_boxes, truth_box
from fasa.evaluation.score.page.images import missed_truths
from fasa.evaluation.score.page.verdicts import judge


@pytest.fixture
def photos(tmp_path):
    """A folder with images 1 and 2, of 100 x 80 pixels, for COCO; below val2017/ for LVIS."""
    for folder in (tmp_path / "images", tmp_path / "images/val2017"):
        folder.mkdir()
        for i in (1, 2):
            Image.new("RGB", (100, 80), (40 * i, 0, 0)).save(folder / f"{i:012d}.jpg")
    return tmp_path / "images"


@pytest.fixture
def made(write, score, tmp_path):
    """``made(kind, folder)``: the page with images, and the error stream."""

    def make(kind: str, folder: Path, document=None) -> tuple[Page, str]:
        truth = write("truth.json", document or annotations(kind))
        paths = [write("first.json", results(FIRST)), write("second.json", results(SECOND))]
        arguments = (truth, *paths, "--iou-type", "bbox", "--page", tmp_path / "page.html")
        status, _, error = score(*arguments, "--image-folder", folder)
        assert status == 0, error
        return Page(tmp_path / "page.html"), error

    return make


@pytest.mark.parametrize("kind", ["lvis", "coco"])
def test_boxes_over_thumbnails(made, photos, kind):
    page, error = made(kind, photos / ".")
    assert error == ""
    assert [own["id"] for own in page.attributes("image")] == ["photo-1", "photo-2"]
    for own in page.attributes("image"):
        header, content = own["href"].split(",")
        assert header == "data:image/jpeg;base64" and (own["width"], own["height"]) == ("100", "80")
        assert Image.open(io.BytesIO(base64.b64decode(content))).size == (100, 80)
    assert {own["href"] for own in page.attributes("use")} == {"#photo-1", "#photo-2"}

    titles = [text for text in page.all("title") if ": " in text and "Missed" not in text]
    assert titles[:4] == [
        "object that was found: cat",
        "hit: cat, score 0.9",
        "missed object: cat",
        "false positive of high score: cat, score 0.95",
    ]
    key, first = [], []
    for own in (own for own in page.attributes("rect") if "vector-effect" in own and own["stroke"] != "#000"):
        (key if len(key) < 4 else first).append(own)
    assert len({own.get("stroke-dasharray") for own in key}) == 4  # told apart without colour
    places = [[float(own[side]) for side in ("x", "y", "width", "height")] for own in first[:4]]
    assert places == [[0, 0, 10, 10], [0, 0, 10, 10], [20, 0, 10, 10], [50, 50, 10, 10]]
    assert [own.get("stroke-dasharray") for own in first[:4]] == [own.get("stroke-dasharray") for own in key]
    assert set(page.all("text", class_="sign")) == {"✓", "?", "✗"}


def test_thumbnails_are_small_and_boxes_keep_the_images_scale(made, photos):
    Image.new("RGB", (1000, 800)).save(photos / "000000000001.jpg")
    page, _ = made("coco", photos)
    own = page.attributes("image")[0]
    assert (own["width"], own["height"]) == ("1000", "800")
    assert Image.open(io.BytesIO(base64.b64decode(own["href"].split(",")[1]))).size == (320, 256)


def test_what_is_not_there_is_told_once_with_a_count(made, photos):
    (photos / "000000000001.jpg").unlink()
    page, error = made("coco", photos)
    assert error == (
        f"fasa: 1 of the 2 images that the page shows cannot be found or read in {photos}; it has their ids and counts "
        "only.\n"
    )
    assert [own["id"] for own in page.attributes("image")] == ["photo-2"]
    assert [text for text in page.all("figcaption") if text.startswith("Image 1.")]


def test_a_damaged_image_is_as_one_that_is_missing(made, photos):
    content = (photos / "000000000001.jpg").read_bytes()
    (photos / "000000000001.jpg").write_bytes(content[: len(content) // 2])
    (photos / "000000000002.jpg").write_text("no image")
    page, error = made("coco", photos)
    assert "2 of the 2 images" in error and page.attributes("image") == []


@pytest.mark.parametrize("name", ["../secret.jpg", "/secret.jpg", "a/../../secret.jpg", "", None, "\0"])
def test_no_name_leads_out_of_the_folder(made, photos, name):
    Image.new("RGB", (100, 80)).save(photos.parent / "secret.jpg")
    document = annotations("coco")
    document["images"][0]["file_name"] = str(photos.parent / "secret.jpg") if name == "/secret.jpg" else name
    page, error = made("coco", photos, document)
    assert "1 of the 2 images" in error
    assert [own["id"] for own in page.attributes("image")] == ["photo-2"]


def test_images_of_our_own_annotations_are_found_by_their_ids(made, photos, write, score, tmp_path):
    save_ground_truth(load_ground_truth(annotations("coco"), masks=False), tmp_path / "truth.npz")
    detections = write("first.json", results(FIRST))
    target = tmp_path / "own.html"
    status, _, error = score(
        tmp_path / "truth.npz", detections, "--iou-type", "bbox", "--page", target, "--image-folder", photos
    )
    assert (status, error) == (0, "") and len(Page(target).attributes("image")) == 2


@pytest.mark.parametrize("seed", range(6))
def test_found_objects_are_those_of_pycocotools(write, seed):
    document, entries = disc_problem("coco", seed)
    found = overlaps(document, entries)
    truth, verdicts = found.ground_truth, judge(match(found))
    path = write("coco.json", document)
    official = COCO(path)
    evaluation = COCOeval(official, official.loadRes(entries), "segm")
    evaluation.evaluate()
    missed: dict[int, set[int]] = {i: set() for i in truth.image_ids.tolist()}
    for own in evaluation.evalImgs:
        if own and own["aRng"] == evaluation.params.areaRng[0]:
            taken = own["gtMatches"][0] > 0
            missed[own["image_id"]] |= {
                i
                for i, hit, ignored in zip(own["gtIds"], taken, own["gtIgnore"], strict=True)
                if not hit and not ignored
            }
    for image, image_id in enumerate(truth.image_ids.tolist()):
        rows = missed_truths(truth, verdicts, image)
        assert set(truth.ids[rows].tolist()) == missed[image_id]
        assert len(rows) == verdicts.missed[image]
    assert verdicts.missed.sum() > 0 and verdicts.hit.any() and verdicts.false.sum() == (~verdicts.hit).sum()
    assert (verdicts.score[~verdicts.hit] >= np.median(verdicts.score[verdicts.hit])).all()


@pytest.mark.parametrize(
    ("left", "missed"),
    [(0, 2), (2, 1), (1, 1)],  # of two objects at 0 and at 2 the nearer one is found, of equal ones the last
)
def test_a_hit_takes_the_object_of_highest_iou_and_of_equals_the_last(left, missed):
    document = annotations("coco")
    document["annotations"][1]["bbox"] = [2, 0, 10, 10]
    found = overlaps(document, results([(1, 1, [left, 0, 10, 10], 0.9)]), iou_type="bbox")
    verdicts = judge(match(found))
    assert len(verdicts.pair_iou) == 2
    (row,) = missed_truths(found.ground_truth, verdicts, 0)
    assert found.ground_truth.ids[row] == missed


def test_no_false_positive_where_a_class_is_not_exhaustive():
    document = annotations("lvis")
    assert judge(match(overlaps(document, results(FIRST), iou_type="bbox"))).false.tolist() == [1, 0]
    document["images"][0]["not_exhaustive_category_ids"] = [1]
    assert judge(match(overlaps(document, results(FIRST), iou_type="bbox"))).false.tolist() == [0, 0]


@pytest.mark.parametrize("packed", [False, True])
def test_boxes_are_read_again_by_row_without_images_that_are_left_out(write, tmp_path, monkeypatch, packed):
    document, entries = disc_problem("lvis")
    truth = load_ground_truth(document)
    some = subset(truth, truth.image_ids[::2].tolist())
    kept = [k for k, entry in enumerate(entries) if entry["image_id"] in some.image_ids]
    del entries[kept[2]]["bbox"]  # its mask has one
    path = write("detections.json", entries)
    if packed:
        save_detections(load_detections(path), tmp_path / "detections.npz")
        path = tmp_path / "detections.npz"
        monkeypatch.setattr("fasa.evaluation.io.detections.CHUNK_ROWS", 7)
    rows = np.array([2, 0, len(kept) - 1])
    expected = disc_problem("lvis")[1]
    assert detection_boxes(path, some, rows) == {
        row: pytest.approx(tuple(expected[kept[row]]["bbox"])) for row in rows.tolist()
    }


def test_an_object_without_a_box_has_its_masks():
    document, _ = disc_problem("lvis")
    expected = tuple(document["annotations"][0]["bbox"])
    number = document["annotations"][0]["id"]
    for _ in range(2):
        truth = load_ground_truth(document)
        assert truth_box(truth, int(np.flatnonzero(truth.ids == number)[0])) == expected
        document["annotations"][0].pop("bbox", None)


@pytest.mark.parametrize("option", ["annotations", "first", "json", "folder", "photo", "link"])
def test_no_input_is_overwritten(write, score, photos, tmp_path, option):
    truth, detections = write("truth.json", annotations("coco")), write("first.json", results(FIRST))
    (tmp_path / "link.html").symlink_to(truth)
    page = {
        "annotations": truth, "first": detections, "json": tmp_path / "scores.json", "folder": tmp_path,
        "photo": photos / "000000000001.jpg", "link": tmp_path / "link.html",
    }[option]  # fmt: skip
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments = ("--iou-type", "bbox", "--json", tmp_path / "scores.json", "--image-folder", photos)
    status, text, error = score(truth, detections, *arguments, "--page", page)
    assert status == 2 and text == "" and "--page a file" in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_mistakes_are_told_before_anything_is_scored(write, score, photos, tmp_path, monkeypatch):
    truth, detections = write("truth.json", annotations("coco")), write("first.json", results(FIRST))
    monkeypatch.setattr("fasa.evaluation.score.scores.overlaps", lambda *a, **k: pytest.fail("scored"))

    def refused(*options) -> str:
        status, _, error = score(truth, detections, "--iou-type", "bbox", *options)
        assert status == 2 and not (tmp_path / "page.html").exists()
        return error

    page = ("--page", tmp_path / "page.html")
    assert "add --page FILE.html" in refused("--image-folder", photos)
    assert "nowhere is no folder" in refused(*page, "--image-folder", tmp_path / "nowhere")
    assert "--page needs the protocol" in refused(*page, "--protocol", "pool")
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert "pip install pillow" in refused(*page, "--image-folder", photos)
    document = annotations("coco")
    document["images"][0]["file_name"] = ["no", "name"]
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write("truth.json", document)
    assert "does not name its images" in refused(*page, "--image-folder", photos)


def test_pillow_is_loaded_for_thumbnails_only(write, score, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    truth, detections = write("truth.json", annotations("coco")), write("first.json", results(FIRST))
    assert score(truth, detections, "--iou-type", "bbox", "--page", tmp_path / "page.html")[0] == 0
