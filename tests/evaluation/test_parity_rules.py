"""One small problem for every rule that evaluators of LVIS get wrong: first by hand, then against lvis-api."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from oracles import assert_equal, fixed_official, lvis_official
from pycocotools import mask

from fasa.errors import UserError
from fasa.evaluation import Evaluation, evaluate, load_ground_truth, overlaps
from fasa.evaluation.metrics import matching

Json = dict[str, Any]
SIDE = 200  # pixels of an image
RARE, COMMON, FREQUENT, UNKNOWN = 1, 2, 3, 99


def image(number: int, negative: tuple[int, ...] = (), open_classes: tuple[int, ...] = ()) -> Json:
    lists = {"neg_category_ids": list(negative), "not_exhaustive_category_ids": list(open_classes)}
    return {"id": number, "height": SIDE, "width": SIDE, **lists}


def shape(box: tuple[int, int, int, int]) -> Json:
    x, y, w, h = box
    pixels = np.zeros((SIDE, SIDE), np.uint8, order="F")
    pixels[y : y + h, x : x + w] = 1
    return {"size": [SIDE, SIDE], "counts": mask.encode(pixels)["counts"].decode()}


def truth(image_id: int, category: int, box: tuple[int, int, int, int] = (0, 0, 20, 20), **more: Any) -> Json:
    entry = {
        "image_id": image_id,
        "category_id": category,
        "bbox": list(map(float, box)),
        "area": float(box[2] * box[3]),
    }
    return entry | {"segmentation": shape(box)} | more


def found(image_id: int, category: int, score: float, box: tuple[int, int, int, int] = (0, 0, 20, 20)) -> Json:
    return {"image_id": image_id, "category_id": category, "score": score, "segmentation": shape(box)}


def problem(images: list[Json], truths: list[Json]) -> Json:
    letters = {RARE: "r", COMMON: "c", FREQUENT: "f"}
    categories = [{"id": c, "name": f"class{c}", "frequency": letter} for c, letter in letters.items()]
    numbered = [entry | {"id": entry.get("id", n)} for n, entry in enumerate(truths, start=1)]
    return {"images": images, "annotations": numbered, "categories": categories}


def score(annotations: Json, results: list[Json], protocol: str = "standard") -> Evaluation:
    """Ours, after it was found equal to lvis-api in every cell and figure."""
    ours = evaluate(overlaps(load_ground_truth(annotations), results), protocol)
    official = lvis_official if protocol == "standard" else fixed_official
    limit = matching.IMAGE_LIMIT if protocol == "standard" else matching.CLASS_LIMIT
    assert_equal(ours, official(annotations, results, "segm", limit))
    return ours


ELSEWHERE, EMPTY = (100, 100, 20, 20), (0, 0, 0, 0)


def test_an_image_without_objects_whose_detections_are_all_dropped() -> None:
    annotations = problem([image(1), image(2)], [truth(1, RARE)])
    assert score(annotations, [found(1, RARE, 0.5), found(2, COMMON, 0.9)]).summary["AP"] == pytest.approx(1)


def test_an_empty_mask_is_no_false_positive() -> None:
    annotations = problem([image(1)], [truth(1, RARE)])
    assert score(annotations, [found(1, RARE, 0.9, EMPTY), found(1, RARE, 0.5)]).summary["AP"] == pytest.approx(1)


@pytest.mark.parametrize("wasted", [(RARE, EMPTY), (UNKNOWN, ELSEWHERE), (COMMON, ELSEWHERE)])
def test_what_is_dropped_counts_for_the_limit_of_an_image(wasted: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty masks, unknown classes and unjudged classes use the limit up before they leave."""
    monkeypatch.setattr(matching, "IMAGE_LIMIT", 3)
    annotations = problem([image(1)], [truth(1, RARE)])
    better = [found(1, wasted[0], 0.9, wasted[1])] * 3
    assert score(annotations, [*better[:2], found(1, RARE, 0.5)]).summary["AP"] == pytest.approx(1)
    assert score(annotations, [*better, found(1, RARE, 0.5)]).summary["AP"] == 0


def test_the_limit_of_an_image_spans_its_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal scores at the limit the first in the file stays."""
    monkeypatch.setattr(matching, "IMAGE_LIMIT", 2)
    annotations = problem([image(1)], [truth(1, RARE), truth(1, COMMON), truth(1, FREQUENT)])
    results = [found(1, RARE, 0.5), found(1, FREQUENT, 0.9), found(1, COMMON, 0.5)]
    summary = score(annotations, results).summary
    assert (summary["APr"], summary["APc"], summary["APf"]) == (pytest.approx(1), 0, pytest.approx(1))


def test_the_limit_of_a_class_spans_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """AP-Fixed: what the federated rule drops later counts; of equal scores at the limit the first stays."""
    monkeypatch.setattr(matching, "IMAGE_LIMIT", 1)
    monkeypatch.setattr(matching, "CLASS_LIMIT", 2)
    annotations = problem([image(1), image(2), image(3)], [truth(1, RARE), truth(2, RARE), truth(1, COMMON)])
    results = [found(3, RARE, 0.9), found(2, RARE, 0.5), found(1, RARE, 0.5), found(1, COMMON, 0.1)]
    ours = score(annotations, results, "fixed")
    assert ours.recall[0, :2, 0].tolist() == [0.5, 1]


def test_an_ignored_object_is_neither_missed_nor_a_success() -> None:
    annotations = problem([image(1)], [truth(1, RARE, ignore=1), truth(1, RARE, ELSEWHERE)])
    results = [found(1, RARE, 0.9), found(1, RARE, 0.5, ELSEWHERE)]
    assert score(annotations, results).summary["AP"] == pytest.approx(1)
    assert score(annotations, results[:1]).summary["AP"] == 0


def test_crowd_means_nothing_in_lvis() -> None:
    annotations = problem([image(1)], [truth(1, RARE, iscrowd=1)])
    assert score(annotations, [found(1, RARE, 0.9)]).summary["AP"] == pytest.approx(1)


def test_an_object_without_area_does_not_exist() -> None:
    """It is no object, and no proof that its class was looked for."""
    annotations = problem([image(1), image(2)], [truth(1, RARE), truth(2, RARE, area=0.0)])
    assert score(annotations, [found(2, RARE, 0.9, ELSEWHERE), found(1, RARE, 0.5)]).summary["AP"] == pytest.approx(1)


def test_no_detections_at_all() -> None:
    """lvis-api fails on an empty list; classes with objects have an AP of 0 then, as if all detections were dropped."""
    summary = score(problem([image(1)], [truth(1, RARE)]), []).summary
    assert (summary["AP"], summary["APr"], summary["APc"], summary["AR"]) == (0, 0, None, 0)


def test_a_group_without_objects_is_absent() -> None:
    annotations = problem([image(1, negative=(COMMON,))], [truth(1, RARE)])
    summary = score(annotations, [found(1, RARE, 0.9), found(1, COMMON, 0.9)]).summary
    assert (summary["APc"], summary["APf"]) == (None, None)
    annotations["categories"] = annotations["categories"][:1]  # no class of the group in the file either
    assert score(annotations, [found(1, RARE, 0.9)]).summary["APf"] is None


def test_only_judged_classes_have_false_positives() -> None:
    """Absent classes do, unmentioned ones do not, and not-exhaustive ones only where they are not open."""
    images = [image(1), image(2, negative=(RARE,)), image(3), image(4, negative=(RARE,), open_classes=(RARE,))]
    annotations = problem(images, [truth(1, RARE)])
    good = found(1, RARE, 0.5)
    assert score(annotations, [good, found(3, RARE, 0.9)]).summary["AP"] == pytest.approx(1)
    assert score(annotations, [good, found(4, RARE, 0.9)]).summary["AP"] == pytest.approx(1)
    assert score(annotations, [good, found(2, RARE, 0.9)]).summary["AP"] == pytest.approx(0.5)


def test_a_match_in_a_not_exhaustive_class_counts() -> None:
    annotations = problem([image(1, open_classes=(RARE,))], [truth(1, RARE)])
    results = [found(1, RARE, 0.5), found(1, RARE, 0.9, ELSEWHERE)]
    assert score(annotations, results).summary["AP"] == pytest.approx(1)


def test_equal_scores_go_by_image_and_then_by_place_in_the_file() -> None:
    annotations = problem([image(7), image(5)], [truth(5, RARE), truth(5, COMMON)])
    annotations["images"][0]["neg_category_ids"] = [RARE]
    results = [found(7, RARE, 0.5), found(5, RARE, 0.5), found(5, COMMON, 0.5, ELSEWHERE), found(5, COMMON, 0.5)]
    summary = score(annotations, results).summary
    assert (summary["APr"], summary["APc"]) == (pytest.approx(1), pytest.approx(0.5))


def test_of_equal_overlaps_the_later_object_is_taken() -> None:
    """The first detection overlaps two objects alike; the second finds its own only if that is the earlier one."""
    wide, high, both = (50, 0, 40, 30), (50, 0, 30, 40), (50, 0, 30, 30)  # IoU of `both` with either: 0.75
    for earlier, later in ((wide, high), (high, wide)):
        annotations = problem([image(1)], [truth(1, RARE, earlier), truth(1, RARE, later)])
        assert score(annotations, [found(1, RARE, 0.9, both), found(1, RARE, 0.8, earlier)]).recall[5, 0, 0] == 1
        assert score(annotations, [found(1, RARE, 0.9, both), found(1, RARE, 0.8, later)]).recall[5, 0, 0] == 0.5


def test_a_counted_object_is_preferred_to_an_ignored_one_of_higher_overlap() -> None:
    annotations = problem([image(1)], [truth(1, RARE, ignore=1), truth(1, RARE, (0, 0, 20, 15))])
    ours = score(annotations, [found(1, RARE, 0.9)])
    assert ours.recall[:, 0, 0].tolist() == [1] * 6 + [0] * 4  # IoU 0.75, and 1 with the ignored one


@pytest.mark.parametrize("twentieths", range(10, 21))
def test_an_overlap_equal_to_a_threshold_is_a_match(twentieths: int) -> None:
    annotations = problem([image(1)], [truth(1, RARE)])
    ours = score(annotations, [found(1, RARE, 0.9, (0, 0, 20, twentieths))])
    assert ours.recall[:, 0, 0].sum() in (min(twentieths - 9, 10), twentieths - 10)  # 0.05 k need not be a float
    assert ours.recall[0, 0, 0] == 1


@pytest.mark.parametrize(("side", "ranges"), [(32, [1, 1, 0]), (96, [0, 1, 1])])
def test_a_border_area_belongs_to_both_ranges(side: int, ranges: list[int]) -> None:
    annotations = problem([image(1)], [truth(1, RARE, (0, 0, side, side))])
    summary = score(annotations, [found(1, RARE, 0.9, (0, 0, side, side))]).summary
    assert [0 if summary[name] is None else round(summary[name]) for name in ("APs", "APm", "APl")] == ranges


def test_boxes_in_mask_results_change_nothing_unless_asked_for() -> None:
    """The trap: with a "bbox" the official tools take the box's area, so small objects can become large ones."""
    annotations = problem([image(1)], [truth(1, RARE), truth(1, RARE, ELSEWHERE)])
    results = [found(1, RARE, 0.9), found(1, RARE, 0.8, (150, 150, 20, 20))]
    boxed = [result | {"bbox": [0.0, 0.0, 150.0, 150.0]} for result in results]
    assert score(annotations, boxed).summary == score(annotations, results).summary
    by_box = evaluate(overlaps(load_ground_truth(annotations), boxed, area="box"))
    assert_equal(by_box, lvis_official(annotations, boxed, area="box"))
    assert by_box.summary["AP"] == score(annotations, boxed).summary["AP"]


def test_an_empty_mask_with_a_box_counts_by_its_box() -> None:
    """With box areas the empty mask stays, as a false positive."""
    annotations = problem([image(1)], [truth(1, RARE)])
    results = [found(1, RARE, 0.9, EMPTY) | {"bbox": [0.0, 0.0, 9.0, 9.0]}, found(1, RARE, 0.5) | {"bbox": [0.0] * 4}]
    by_box = evaluate(overlaps(load_ground_truth(annotations), results, area="box"))
    assert_equal(by_box, lvis_official(annotations, results, area="box"))


def test_inputs_stay_as_they_are_and_can_be_used_again() -> None:
    """lvis-api writes areas, ids and boxes into its inputs, so a second run with them gives other figures."""
    annotations = problem([image(1)], [truth(1, RARE), truth(1, RARE, ELSEWHERE, area=5000.0)])
    results = [found(1, RARE, 0.9), found(1, RARE, 0.8, ELSEWHERE)]
    before = copy.deepcopy((annotations, results))
    first = score(annotations, results).summary
    assert (annotations, results) == before
    assert score(annotations, results).summary == first


def test_object_ids_start_at_one() -> None:
    """To lvis-api an object of id 0 can never be matched; such a file is refused."""
    annotations = problem([image(1)], [truth(1, RARE, id=0)])
    with pytest.raises(UserError, match=r"annotation 0.* id"):
        load_ground_truth(annotations)


def test_more_than_255_masks_at_once() -> None:
    """pycocotools 2.0.11 with numpy 2 overflows in the areas of more than 255 masks."""
    annotations = problem([image(1)], [truth(1, RARE)])
    results = [found(1, RARE, 0.5 - i / 1000, (i % 100, 0, 20, 20)) for i in range(290)]
    assert score(annotations, results).summary["AP"] == pytest.approx(1)


@pytest.mark.parametrize("protocol", ["standard", "fixed"])
def test_nothing_annotated(protocol: str) -> None:
    annotations = problem([image(1, negative=(RARE,))], [])
    summary = score(annotations, [found(1, RARE, 0.9)], protocol).summary
    assert set(summary.values()) == {None}
