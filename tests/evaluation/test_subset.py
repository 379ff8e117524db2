"""Some images only: the figures are the official tools' on annotations and detections that were cut by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import coco_problem, lvis_problem
from evaluation_toys import disc_problem, lvis_document, refused
from oracles import assert_equal, coco_official, lvis_official

from fasa.evaluation import (
    DetectionWriter,
    GroundTruth,
    average_precision,
    evaluate,
    load_ground_truth,
    mistakes,
    overlaps,
    save_detections,
    save_ground_truth,
    subset,
    tide,
)
from fasa.evaluation.score.verification import verify

COCO = "http://images.cocodataset.org"


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "cache"))


def cut(annotations: Any, results: list[Any], kept: set[int]) -> tuple[Any, list[Any]]:
    """Annotations and detections of some images, cut by hand."""
    return {
        **annotations,
        "images": [image for image in annotations["images"] if image["id"] in kept],
        "annotations": [entry for entry in annotations["annotations"] if entry["image_id"] in kept],
    }, [entry for entry in results if entry["image_id"] in kept]


@pytest.mark.parametrize("way", ["lists", "files"])
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("kind", ["lvis", "coco"])
@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_files_cut_by_hand(tmp_path: Path, kind: str, iou_type: str, seed: int, way: str):
    annotations, results = (lvis_problem if kind == "lvis" else coco_problem)(seed, iou_type)
    ids = [image["id"] for image in annotations["images"]]
    kept = set(ids[::2])
    by_hand = cut(annotations, results, kept)
    found: Any = results
    if way == "files":
        found = tmp_path / "found.npz"
        save_detections(results, found)
    some = subset(annotations, sorted(kept))
    paired = overlaps(some, found, iou_type, all_classes=True)
    assert paired.left_out == len(results) - len(by_hand[1])
    official = lvis_official if kind == "lvis" else coco_official
    assert_equal(evaluate(paired), official(*by_hand, iou_type))
    assert tide(paired) == tide(overlaps(*by_hand, iou_type, all_classes=True))


def test_a_subset_is_the_annotations_cut_by_hand():
    annotations, results = lvis_problem(1)
    kept = {image["id"] for image in annotations["images"][1::2]}
    some, by_hand = subset(annotations, kept), load_ground_truth(cut(annotations, results, kept)[0])
    for key, column in vars(by_hand).items():
        if isinstance(column, np.ndarray) and key != "position":  # the place in the file that there is
            assert column.dtype == getattr(some, key).dtype
            np.testing.assert_array_equal(getattr(some, key), column, err_msg=key)
    assert some.notes[-1] == f"Scored on {len(kept)} of {len(annotations['images'])} images."


def test_what_is_unknown_is_still_refused_without_a_subset(tmp_path: Path):
    annotations, results = lvis_problem(1)
    kept = {image["id"] for image in annotations["images"][1:]}
    by_hand, _ = cut(annotations, results, kept)
    assert "does not list" in refused(average_precision, by_hand, results)
    some = subset(annotations, kept)
    save_ground_truth(some, tmp_path / "some.npz")  # it stays one
    again = load_ground_truth(tmp_path / "some.npz")
    assert evaluate(overlaps(again, results)).summary == evaluate(overlaps(some, results)).summary
    (first, *_) = mistakes(overlaps(again, results), ())
    assert first.startswith("Left out, as of images that are not scored: ")


def urls(document: Any, chosen: set[int]) -> Any:
    for image in document["images"]:
        folder = "val2017" if image["id"] in chosen else "train2017"
        image["coco_url"] = f"{COCO}/{folder}/{image['id']:012}.jpg"
    return document


def test_minival_is_the_images_of_val2017(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(urls(lvis_document(), {10, 30})))
    for source in (path, path, urls(lvis_document(), {10, 30})):  # the second time from the cache
        assert subset(source, "minival").image_ids.tolist() == [10, 30]
    assert 'no image whose "coco_url" is of val2017' in refused(subset, lvis_document(), "minival")


@pytest.mark.parametrize(
    "content",
    [
        "30\n10\n",
        "\ufeff10\r\n30\r\n\r\n",
        "10 30",
        "[10, 30]",
        '{"images": [{"id": 30}, {"id": 10, "x": 1}]}',
        "[30, 10.0, 10]",
    ],
)
def test_ids_come_in_every_form(tmp_path: Path, content: str):
    (tmp_path / "ids").write_text(content, encoding="utf-8")
    for form in (tmp_path / "ids", str(tmp_path / "ids"), [10, 30], np.array([30, 10])):
        assert subset(lvis_document(), form).image_ids.tolist() == [10, 30]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the list is empty"),
        ("[]", "the list is empty"),
        ("ten", "whole number"),
        ("[1.5]", "whole number"),
        ("[10", "holds no image ids"),
        ("{}", '"images"'),
        ('{"images": 7}', "write a list"),
        ('{"images": [7]}', "image 0"),
        ("[77]", "none of the 1 images"),
        (b"\xff\xfe\x00", "holds no image ids"),
    ],
)
def test_a_faulty_list_is_a_sentence(tmp_path: Path, content: str | bytes, says: str):
    (tmp_path / "ids").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert says in refused(subset, lvis_document(), tmp_path / "ids")


def test_ids_that_the_annotations_lack_are_counted():
    assert subset(lvis_document(), [10, 77, 78]).notes[-1] == (
        "Of 3 images that were asked for, the annotations lack 2."
    )


def test_the_command_scores_some_images(write, score, tmp_path: Path):
    annotations, detections = disc_problem("lvis")
    chosen = {20, 50, 60, 70, 120}
    files = write("lvis.json", urls(annotations, chosen)), write("detections.json", detections)
    by_hand = cut(annotations, detections, chosen)
    expected = json.loads(score(write("a.json", by_hand[0]), write("b.json", by_hand[1]), "--tide", "--json")[1])
    (tmp_path / "ids.txt").write_text("\n".join(map(str, chosen)))
    for images in ("minival", tmp_path / "ids.txt", tmp_path / "a.json"):
        status, text, error = score(*files, "--images", images, "--tide", "--json")
        told = json.loads(text)
        assert status == 0 and told["annotations"]["images"] == 5
        assert told["files"][0]["protocols"] == expected["files"][0]["protocols"]
        assert told["files"][0]["tide"] == expected["files"][0]["tide"]
        left = f"{len(detections) - len(by_hand[1])} of {len(detections)} detections"
        assert error == f"fasa: detections.json: Left out, as of images that are not scored: {left}.\n"
    assert "Note: Scored on 5 of 12 images." in score(*files, "--images", "minival")[1]
    assert score(*files, "--images", tmp_path / "nowhere")[0] == 2
    status, _, error = score(*files, "--images", tmp_path / "ids.txt", "--json", tmp_path / "ids.txt")
    assert status == 2 and "would be overwritten" in error


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_some_images_are_verified_with_the_official_tools(write, tmp_path: Path, iou_type: str):
    pytest.importorskip("lvis")
    pytest.importorskip("tidecv")
    annotations, detections = disc_problem("lvis")
    files = write("lvis.json", annotations), write("detections.json", detections)
    some: GroundTruth = subset(files[0], [20, 50, 60, 70, 120])
    with DetectionWriter(tmp_path / "found.npz") as writer:
        for d in detections:
            boxes = np.array([d["bbox"]])
            writer.add(d["image_id"], [d["category_id"]], [d["score"]], boxes, masks=[d["segmentation"]])
    for found in (files[1], tmp_path / "found.npz"):
        compared = verify(files[0], found, iou_type, ("standard", "fixed", "pool"), True, ground_truth=some)
        assert len(compared) > 40 and all(c.equal for c in compared), [c for c in compared if not c.equal]
