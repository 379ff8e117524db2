"""What can be scored but looks like a mistake is told once, with counts."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
from evaluation_toys import HEIGHT, WIDTH, disc_problem

from fasa.evaluation import average_precision, mistakes, overlaps, tide_errors


def told(annotations: Any, detections: Any, iou_type: str = "segm", *protocols: str) -> list[str]:
    return list(mistakes(overlaps(annotations, detections, iou_type), protocols))


@pytest.fixture
def problem() -> tuple[Any, list[Any]]:
    return disc_problem("lvis")


@pytest.mark.parametrize("kind", ["lvis", "coco"])
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_nothing_is_told_of_an_ordinary_file(kind, iou_type):
    assert told(*disc_problem(kind), iou_type, "standard") == []


def test_classes_counted_from_0(problem):
    annotations, detections = problem
    for detection in detections:
        detection["category_id"] -= 1
    zeros = sum(d["category_id"] == 0 for d in detections)
    unknown, counted = told(annotations, detections)
    assert unknown.startswith(f"{zeros} of {len(detections)} detections are of classes that the annotations lack")
    assert "(ids: 1, 0)" in unknown
    assert "look counted from 0 (0 to 5; those of the annotations are 1 to 6)" in counted


def test_places_in_a_list_of_ids_with_gaps(problem):
    annotations, detections = problem
    for entry in annotations["categories"]:
        entry["id"] *= 10
    for entry in annotations["annotations"]:
        entry["category_id"] *= 10
    for entry in annotations["images"]:
        for key in ("neg_category_ids", "not_exhaustive_category_ids"):
            entry[key] = [10 * c for c in entry[key]]
    for detection in detections:
        detection["category_id"] -= 1
    unknown, counted = told(annotations, detections)
    assert "(ids: 6, 0, 1, 2, …)" in unknown and "look counted from 0" in counted


def test_unknown_classes_that_are_not_counted_from_0(problem):
    annotations, detections = problem
    for detection in detections[:4]:
        detection["category_id"] = 77
    (sentence,) = told(annotations, detections)
    assert sentence.startswith(f"4 of {len(detections)} detections are of classes") and "(ids: 1, 77)" in sentence


def test_scores_that_are_all_equal(problem):
    annotations, detections = problem
    for detection in detections:
        detection["score"] = 0.25
    (sentence,) = told(annotations, detections)
    assert sentence.startswith(f"All {len(detections)} detections have the score 0.25")


def test_boxes_of_two_corners(problem):
    annotations, detections = problem
    corners = 0
    for detection in detections:
        x, y, w, h = detection["bbox"]
        detection["bbox"] = [x, y, x + w, y + h]
        corners += 2 * x + w > 1.02 * WIDTH or 2 * y + h > 1.02 * HEIGHT
    assert told(annotations, detections) == []  # masks have no need of them
    (sentence,) = told(annotations, detections, "bbox")
    assert sentence.startswith(f"{corners} of {len(detections)} boxes end outside their image") and corners > 20


def test_a_file_cut_to_300_an_image(problem):
    annotations, detections = problem
    first, others = annotations["images"][0]["id"], [d for d in detections if d["image_id"] != 120]
    assert first == 120
    cut = others + [{**detections[0], "image_id": 120, "score": i / 300} for i in range(300)]
    for protocol in ("fixed", "pool"):
        (sentence,) = told(annotations, cut, "segm", protocol)
        assert sentence.startswith("Images with 300 detections: 1 of 12; with more: none.")
    assert told(annotations, cut, "segm", "standard") == []
    assert told(annotations, [*cut, cut[-1]], "segm", "fixed") == []


def test_images_without_detections(problem):
    annotations, detections = problem
    annotations["images"].append({**annotations["images"][0], "id": 999})  # it holds nothing
    (sentence,) = told(annotations, [d for d in detections if d["image_id"] not in (20, 30)])
    assert sentence == "3 of 13 images have no detection; 2 of those hold objects, which all count as missed."


def test_the_library_warns_once(problem):
    annotations, detections = problem
    few = [d for d in detections if d["image_id"] != 20]
    for function in (average_precision, tide_errors):
        with pytest.warns(UserWarning, match="1 of 12 images have no detection") as caught:
            function(annotations, few)
        assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        average_precision(annotations, detections)


def test_the_command_tells_on_the_error_stream_and_in_the_document(lvis, write, score):
    detections = disc_problem("lvis")[1]
    few = write("few.json", [d for d in detections if d["image_id"] != 20])
    status, text, error = score(*lvis, few, "--json")
    assert status == 0
    expected = "few.json: 1 of 12 images have no detection; 1 of those hold objects, which all count as missed."
    assert error == f"fasa: {expected}\n" and json.loads(text)["warnings"] == [expected]
    assert json.loads(score(*lvis, "--json")[1])["warnings"] == []


def test_no_detections_at_all(problem):
    annotations, _ = problem
    assert told(annotations, []) == [
        "12 of 12 images have no detection; 12 of those hold objects, which all count as missed."
    ]
    assert np.isfinite(average_precision(annotations, [])["AP"])
