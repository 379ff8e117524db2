"""TIDE's rules one at a time, on boxes along a line whose figures can be had by hand; tidecv has to agree to each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tide_oracle import assert_same, pycocotools_overlaps, tidecv

from fasa.evaluation import Tide, tide

Json = dict[str, Any]
HALF = (51 * 1 + 50 * 0) / 101 * 100  # AP where one of two truths is found, first: recall 0 ... 0.5 at precision 1
LENGTH = 400


def truth(low: float, high: float, category: int = 1, image: int = 1, crowd: int = 0) -> Json:
    return {"image_id": image, "category_id": category, "bbox": [low, 0, high - low, 10], "area": 1, "iscrowd": crowd}


def found(low: float, high: float, score: float, category: int = 1, image: int = 1) -> Json:
    return {"image_id": image, "category_id": category, "bbox": [low, 0, high - low, 10], "score": score}


def problem(truths: list[Json], images: tuple[int, ...] = (1,), **federated: list[int]) -> Json:
    """Annotations with categories 1, 2, 3; LVIS with ``negative`` or ``not_exhaustive`` lists, else COCO."""
    box = [[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]]
    entries = [{"id": number, "segmentation": box, **entry} for number, entry in enumerate(truths, start=1)]
    documents = [{"id": image, "height": 10, "width": LENGTH} for image in images]
    for document in documents if federated else []:
        document["neg_category_ids"] = federated.get("negative", [])
        document["not_exhaustive_category_ids"] = federated.get("not_exhaustive", [])
    categories = [{"id": c, "name": str(c), "frequency": "f"} for c in (1, 2, 3)]
    return {"images": documents, "annotations": entries, "categories": categories}


def errors_of(annotations: Json, results: list[Json]) -> Tide:
    ours = tide(pycocotools_overlaps(annotations, results, "bbox"))
    assert_same(ours, tidecv(annotations, results, "bbox"))
    return ours


def kinds(figures: Tide) -> dict[str, int]:
    """The counts that are not 0."""
    return {name: count for name, count in figures.counts.items() if count}


def gains(figures: Tide) -> dict[str, float]:
    return {name: pytest.approx(gain) for name, gain in figures.errors.items() if gain}


def test_a_found_truth_is_no_error():
    figures = errors_of(problem([truth(0, 10)]), [found(0, 10, 0.5)])
    assert figures.ap == figures.ap_gt_classes == pytest.approx(100)
    assert not kinds(figures) and not gains(figures)
    assert (figures.classes, figures.classes_with_truth) == (1, 1)


def test_loc_is_too_little_overlap_with_its_class():
    figures = errors_of(problem([truth(0, 10)]), [found(0, 4, 0.5)])
    assert kinds(figures) == {"loc": 1}  # the truth is not missed: mending the box would find it
    assert figures.ap == 0 and gains(figures) == {"loc": 100}


def test_cls_is_enough_overlap_with_another_class():
    figures = errors_of(problem([truth(0, 10)]), [found(0, 10, 0.5, category=2)])
    assert kinds(figures) == {"cls": 1}
    # Repaired, the detection leaves class 2, which then has nothing and leaves the mean.
    assert (figures.classes, gains(figures)) == (2, {"cls": 100})


def test_dupe_is_enough_overlap_with_a_taken_truth():
    results = [found(0, 10, 0.9), found(0, 9, 0.8), found(20, 30, 0.7)]
    figures = errors_of(problem([truth(0, 10), truth(20, 30)]), results)
    assert kinds(figures) == {"dupe": 1}
    assert figures.ap == pytest.approx((51 * 1 + 50 * 2 / 3) / 101 * 100)
    assert gains(figures) == {"dupe": 100 - figures.ap}


def test_bkg_is_hardly_any_overlap():
    figures = errors_of(problem([truth(0, 10)]), [found(100, 110, 0.9), found(0, 10, 0.8), found(9.5, 19.5, 0.7)])
    assert kinds(figures) == {"bkg": 2}
    assert figures.ap == pytest.approx(50) and gains(figures) == {"bkg": 50}


def test_both_is_too_little_overlap_with_another_class():
    figures = errors_of(problem([truth(0, 10, 2), truth(50, 60)]), [found(0, 4, 0.9), found(50, 60, 0.8)])
    assert kinds(figures) == {"both": 1, "miss": 1}
    assert figures.ap == pytest.approx((50 + 0) / 2)
    # Without the missed truth, class 2 has nothing and leaves the mean.
    assert gains(figures) == {"both": 25, "miss": 25}


def test_miss_is_a_truth_that_no_error_would_find():
    figures = errors_of(problem([truth(0, 10), truth(20, 30), truth(40, 50)]), [found(0, 10, 0.9), found(20, 23, 0.8)])
    assert kinds(figures) == {"loc": 1, "miss": 1}
    third, two_thirds = 34 / 101 * 100, 67 / 101 * 100
    assert figures.ap == pytest.approx(third)
    assert gains(figures) == {"loc": two_thirds - third, "miss": HALF - third}
    # Misses in the wider sense include the one that a localisation error covers.
    assert figures.special["false_negative"] == pytest.approx(100 - third)


def test_false_positives_cost_what_stands_before_true_ones():
    figures = errors_of(
        problem([truth(0, 10), truth(20, 30)]), [found(90, 99, 0.9), found(0, 10, 0.8), found(90, 99, 0.7)]
    )
    assert figures.ap == pytest.approx(HALF / 2)
    assert figures.special["false_positive"] == pytest.approx(HALF - HALF / 2)


def test_precision_is_the_best_at_a_recall_or_beyond():
    results = [found(90, 99, 0.9), found(0, 10, 0.8), found(20, 30, 0.7)]  # precision 1 / 2, then 2 / 3
    assert errors_of(problem([truth(0, 10), truth(20, 30)]), results).ap == pytest.approx(200 / 3)


def test_the_borders_of_the_overlaps():
    assert kinds(errors_of(problem([truth(0, 10)]), [found(0, 5, 0.5)])) == {}  # 0.5 matches
    assert kinds(errors_of(problem([truth(0, 10)]), [found(0, 1, 0.5)])) == {"loc": 1}  # 0.1 is still Loc
    other = kinds(errors_of(problem([truth(0, 10)]), [found(0, 1, 0.5, 2)]))
    assert other == {"bkg": 1, "miss": 1}  # ... but Bkg where the class is wrong, too
    assert kinds(errors_of(problem([truth(0, 10)]), [found(0, 5, 0.5, 2)])) == {"cls": 1}
    # A second detection by exactly 0.5 on a taken truth is Loc, not Dupe.
    assert kinds(errors_of(problem([truth(0, 10)]), [found(0, 10, 0.9), found(0, 5, 0.5)])) == {"loc": 1}


def test_loc_is_tried_before_cls():
    figures = errors_of(problem([truth(0, 10), truth(0, 4, 2)]), [found(0, 4, 0.5)])
    assert kinds(figures) == {"loc": 1, "miss": 1}


def test_only_the_best_claim_repairs_a_truth():
    results = [found(0, 4, 0.6), found(0, 10, 0.8, 2), found(0, 10, 0.8, 3)]
    figures = errors_of(problem([truth(0, 10)]), results)
    assert kinds(figures) == {"cls": 2, "loc": 1}
    # The first of the two class errors repairs, the other and the localisation error are only removed.
    assert gains(figures) == {"cls": 100}


def test_claims_to_a_taken_truth_are_only_removed():
    figures = errors_of(problem([truth(0, 10), truth(20, 30)]), [found(0, 10, 0.5), found(0, 4, 0.9)])
    assert kinds(figures) == {"loc": 1, "miss": 1}
    assert figures.ap == pytest.approx(HALF / 2) and gains(figures) == {"loc": HALF / 2, "miss": 50 - HALF / 2}


def test_claims_hold_at_any_score():
    """tidecv fails where all claims to a truth score -1 or less; a shift of all scores changes nothing here."""
    annotations, results = problem([truth(0, 10)]), [found(0, 10, 3.0, 2), found(0, 4, 2.0)]
    shifted = [result | {"score": result["score"] - 10} for result in results]
    assert tide(pycocotools_overlaps(annotations, shifted, "bbox")) == errors_of(annotations, results)


@pytest.mark.parametrize("swap", [False, True])
def test_equal_overlaps_go_to_the_first_truth_of_the_file(swap):
    # The first detection lies evenly on both truths of its class; the second on one of them alone.
    truths = [truth(0, 10), truth(5, 15)]
    figures = errors_of(problem(truths[::-1] if swap else truths), [found(3, 12, 0.9), found(0, 10, 0.8)])
    assert kinds(figures) == ({} if swap else {"dupe": 1, "miss": 1})


@pytest.mark.parametrize("swap", [False, True])
def test_equal_overlaps_claim_the_first_truth_of_the_file(swap):
    # The second detection lies evenly on both truths, too little for a match; the first takes one of them.
    truths = [truth(0, 10), truth(10, 20)]
    figures = errors_of(problem(truths[::-1] if swap else truths), [found(0, 10, 0.9), found(6, 14, 0.8)])
    assert kinds(figures) == ({"loc": 1} if swap else {"loc": 1, "miss": 1})


@pytest.mark.parametrize("swap", [False, True])
def test_equal_overlaps_with_other_classes_claim_the_first_truth_of_the_file(swap):
    truths = [truth(0, 10, category=3), truth(0, 10, category=2)]
    figures = errors_of(problem(truths[::-1] if swap else truths), [found(0, 10, 0.9), found(0, 10, 0.8, category=2)])
    # Class 2's truth is taken, so that only a claim to class 3's repairs; class 1 leaves the mean in any case.
    assert kinds(figures) == ({"cls": 1, "miss": 1} if swap else {"cls": 1})
    assert figures.ap == pytest.approx(100 / 3)
    assert figures.errors["cls"] == pytest.approx(100 / 6 if swap else 200 / 3)


def test_equal_scores_stand_in_the_order_of_the_annotations_images():
    truths, results = [truth(0, 10, image=2)], [found(0, 10, 0.5, image=2), found(0, 10, 0.5, image=1)]
    assert errors_of(problem(truths, (2, 1)), results).ap == pytest.approx(100)
    assert errors_of(problem(truths, (1, 2)), results).ap == pytest.approx(50)


def test_equal_scores_stand_errors_first_once_something_is_repaired():
    figures = errors_of(problem([truth(0, 10), truth(90, 99)]), [found(0, 10, 0.5), found(50, 60, 0.5)])
    assert kinds(figures) == {"bkg": 1, "miss": 1}
    assert figures.ap == pytest.approx(HALF)  # found before the background, as in the file
    # Without the miss the found truth would be at precision 1, but now it stands behind the background.
    assert figures.errors["miss"] == 0 and figures.special["false_negative"] == pytest.approx(50 - HALF)


@pytest.mark.parametrize("lists", [{"negative": []}, {"not_exhaustive": [2]}, {"negative": [2], "not_exhaustive": [2]}])
def test_detections_of_unjudged_classes_are_ignored_but_are_errors_and_repair(lists):
    figures = errors_of(problem([truth(0, 10)], **lists), [found(0, 10, 0.5, 2), found(50, 60, 0.4, 2)])
    assert kinds(figures) == {"cls": 1, "bkg": 1}
    assert (figures.ap, figures.classes) == (0, 1)  # class 2 has no detection that counts
    assert gains(figures) == {"cls": 100}


def test_detections_of_negative_classes_count():
    figures = errors_of(problem([truth(0, 10)], negative=[2]), [found(0, 10, 0.5), found(50, 60, 0.4, 2)])
    assert figures.classes == 2 and figures.ap == pytest.approx(50) and figures.ap_gt_classes == pytest.approx(100)
    # Without its only detection, class 2 leaves tidecv's mean; over classes with truth there is nothing to gain.
    assert figures.errors["bkg"] == pytest.approx(50) and figures.errors_gt_classes["bkg"] == 0


def test_a_matched_detection_of_a_class_not_exhaustively_annotated_counts():
    figures = errors_of(problem([truth(0, 10)], not_exhaustive=[1]), [found(50, 60, 0.9), found(0, 10, 0.5)])
    assert figures.ap == pytest.approx(100) and kinds(figures) == {"bkg": 1}


@pytest.mark.parametrize("federated", [{}, {"negative": []}], ids=["coco", "lvis"])
def test_classes_that_the_annotations_do_not_know_are_never_ignored(federated):
    figures = errors_of(problem([truth(0, 10)], **federated), [found(0, 10, 0.9), found(0, 10, 0.9, 77)])
    assert kinds(figures) == {"cls": 1}
    assert figures.classes == 2 and figures.ap == pytest.approx(50)


def test_detections_in_a_crowd_of_their_class_are_ignored():
    region = truth(100, 200, crowd=1)
    inside, half_inside, other = found(110, 120, 0.9), found(95, 105, 0.8), found(110, 120, 0.7, category=2)
    annotations = problem([truth(0, 10), region])
    for detection, ap in ((inside, 100), (half_inside, 50)):
        figures = errors_of(annotations, [found(0, 10, 0.5), detection])
        assert figures.ap == pytest.approx(ap) and kinds(figures) == {"bkg": 1}
    assert errors_of(annotations, [found(0, 10, 0.5), other]).classes == 2
    # A crowd is no truth: nothing is missed in an image of crowds.
    alone = errors_of(problem([region]), [inside])
    assert kinds(alone) == {"bkg": 1} and (alone.classes, alone.ap) == (0, 0)


@pytest.mark.parametrize(("federated", "limit"), [({}, 100), ({"negative": []}, 300)], ids=["coco", "lvis"])
def test_only_the_best_detections_of_an_image_count(federated, limit):
    annotations = problem([truth(0, 10)], **federated)
    crowd_out = [found(50, 60, 0.9, category=2)] * (limit - 1)
    assert errors_of(annotations, [found(0, 10, 0.5), *crowd_out]).ap_gt_classes == pytest.approx(100)
    figures = errors_of(annotations, [found(0, 10, 0.5), *crowd_out, found(50, 60, 0.9, 2)])
    assert figures.ap == 0 and figures.counts["bkg"] == limit and figures.counts["miss"] == 1


def test_nothing_found():
    figures = errors_of(problem([truth(0, 10), truth(0, 10, 2)]), [])
    assert kinds(figures) == {"miss": 2}
    # Without its missed truths no class is left, which is 0, too.
    assert figures.ap == 0 and not gains(figures) and figures.classes == figures.classes_with_truth == 2


def test_nothing_to_find():
    figures = errors_of(problem([]), [found(0, 10, 0.5)])
    assert kinds(figures) == {"bkg": 1}
    assert (figures.ap, figures.ap_gt_classes, figures.classes, figures.classes_with_truth) == (0, 0, 1, 0)
    assert errors_of(problem([]), []).classes == 0


def test_pairs_of_one_class_do_not_do():
    overlaps = replace(pycocotools_overlaps(problem([truth(0, 10)]), [], "bbox"), all_classes=False)
    with pytest.raises(ValueError, match="all_classes"):
        tide(overlaps)
