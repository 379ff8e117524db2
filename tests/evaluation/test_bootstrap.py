"""Resampled images: weights against images literally repeated, and intervals that cover."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from cases import coco_problem, lvis_problem
from evaluation_toys import disc_problem

from fasa.errors import UserError
from fasa.evaluation import Overlaps, bootstrap, evaluate, load_ground_truth, match, overlaps
from fasa.evaluation.codes import DRAWS
from fasa.evaluation.metrics.average_precision import Summary, rank
from fasa.evaluation.metrics.bootstrap import class_intervals, resample, resampled
from fasa.evaluation.metrics.resampling import Resampling

Json = dict[str, Any]


def draw(file: Overlaps, protocol: str, count: np.ndarray) -> Summary:
    """The figures where each image counts ``count`` times."""
    return resampled(rank(match(file, protocol), protocol), count)


def distinct(results: list[Json], seed: int) -> list[Json]:
    """The same detections with scores that never tie: copies of an image then stand together in every order."""
    scores = np.random.default_rng(seed).permutation(len(results)) / len(results)
    return [entry | {"score": float(score)} for entry, score in zip(results, scores, strict=True)]


def repeated(annotations: Json, results: list[Json], count: dict[int, int]) -> tuple[Json, list[Json]]:
    """Every image as often as ``count`` says, each copy under an id of its own."""
    images, objects, found = [], [], []
    for image in annotations["images"]:
        for k in range(count[image["id"]]):
            new = image["id"] * 1000 + k
            images.append(image | {"id": new})
            objects += [
                copy.copy(a) | {"image_id": new} for a in annotations["annotations"] if a["image_id"] == image["id"]
            ]
            found += [d | {"image_id": new} for d in results if d["image_id"] == image["id"]]
    objects = [entry | {"id": k + 1} for k, entry in enumerate(objects)]
    return annotations | {"images": images, "annotations": objects}, found


@pytest.mark.parametrize(
    ("problem", "protocol"),
    [(lvis_problem, "standard"), (lvis_problem, "fixed"), (lvis_problem, "pool"), (coco_problem, "standard")],
)
@pytest.mark.parametrize("seed", range(8))
def test_a_weight_is_a_repetition(seed, problem, protocol):
    annotations, results = problem(seed)
    results = distinct(results, seed)
    file = overlaps(load_ground_truth(annotations), results)
    ids = file.ground_truth.image_ids.tolist()
    count = np.random.default_rng(seed).integers(0, 4, len(ids)).astype(np.int32)
    count[0] = max(count[0], 1)
    more = repeated(annotations, results, dict(zip(ids, count.tolist(), strict=True)))
    literal = evaluate(overlaps(load_ground_truth(more[0]), more[1]), protocol).summary
    assert draw(file, protocol, count) == literal


@pytest.mark.parametrize("problem", [lvis_problem, coco_problem])
def test_once_each_is_the_figure_itself(problem):
    annotations, results = problem(3)
    file = overlaps(load_ground_truth(annotations), results)
    for protocol in ("standard", "fixed", "pool") if problem is lvis_problem else ("standard",):
        once = np.ones(len(file.ground_truth.image_ids), np.int32)
        mine, whole = draw(file, protocol, once), evaluate(file, protocol).summary
        assert mine == whole and list(mine) == list(whole)


@pytest.mark.parametrize(
    ("problem", "protocol"),
    [(lvis_problem, "standard"), (lvis_problem, "fixed"), (lvis_problem, "pool"), (coco_problem, "standard")],
)
@pytest.mark.parametrize("seed", range(6))
def test_a_block_of_draws_is_its_draws_one_by_one(problem, protocol, seed):
    annotations, results = problem(seed)
    file = overlaps(load_ground_truth(annotations), results)
    images = len(file.ground_truth.image_ids)
    # Some draws lack most images, so that classes and whole groups are absent from some and present in others.
    counts = np.random.default_rng(seed).poisson(0.7, (DRAWS, images)).astype(np.int32)
    resampling = Resampling(rank(match(file, protocol), protocol))
    alone = [draw(file, protocol, count) for count in counts]
    assert resampling.summaries(counts) == alone
    assert resampling.summaries(counts[:3]) == alone[:3]
    assert len({str(one) for one in alone}) > 1


def test_intervals_are_reproducible_and_paired():
    annotations, results = lvis_problem(7)
    truth = load_ground_truth(annotations)
    one, same = overlaps(truth, results), overlaps(truth, results)
    worse = overlaps(truth, [entry | {"score": 1 - entry["score"]} for entry in results])
    intervals, differences = bootstrap([one, same, worse], samples=60, seed=1)
    assert bootstrap([one, same, worse], samples=60, seed=1) == (intervals, differences)
    assert intervals[0] == intervals[1]
    for name, interval in differences[1].items():
        assert interval.low == interval.high == 0, name
    assert "AP" in intervals[0] and intervals[0]["AP"].low < intervals[0]["AP"].high
    assert differences[2]["AP"] != differences[1]["AP"]


def test_its_interval_is_the_percentiles_of_its_draws():
    annotations, results = lvis_problem(11)
    file = overlaps(load_ground_truth(annotations), results)
    images = len(file.ground_truth.image_ids)
    rng = np.random.default_rng(5)
    draws = []
    for _ in range(40):
        count = np.bincount(rng.integers(images, size=images), minlength=images).astype(np.int32)
        draws.append(draw(file, "standard", count)["AP"])
    (mine,), _ = bootstrap([file], samples=40, seed=5)
    if None in draws:
        assert "AP" not in mine
    else:
        assert [mine["AP"].low, mine["AP"].high] == pytest.approx(np.percentile(draws, [2.5, 97.5]))


def test_mistakes():
    annotations, results = lvis_problem(0)
    other = overlaps(load_ground_truth(lvis_problem(1)[0]), [])
    file = overlaps(load_ground_truth(annotations), results)
    with pytest.raises(UserError, match="at least 2 samples"):
        bootstrap([file], samples=1)
    with pytest.raises(UserError, match="same images"):
        bootstrap([file, other], samples=5)


@pytest.mark.parametrize("problem", [lvis_problem, coco_problem])
def test_draws_of_classes_are_those_of_the_mean(problem):
    annotations, results = problem(3)
    file = overlaps(load_ground_truth(annotations), results)
    (own,) = resample([file], "standard", 20, seed=2, by_class=True)  # no multiple of the block
    assert own.class_ap is not None and own.class_ap.shape == (20, len(file.ground_truth.category_ids))
    assert [one["AP"] for one in own.summaries] == pytest.approx(np.nanmean(own.class_ap, axis=1))
    resampling, once = (
        Resampling(rank(match(file), "standard")),
        np.ones((1, len(file.ground_truth.image_ids)), np.int32),
    )
    found = np.empty((1, resampling.classes))
    resampling.summaries(once, found)
    np.testing.assert_allclose(found[0], evaluate(file).per_class["AP"], rtol=1e-12)


def test_intervals_of_classes_are_paired_and_absent_where_a_draw_lacks_the_class():
    annotations, results = disc_problem("lvis", images=30)
    truth = load_ground_truth(annotations)
    files = [overlaps(truth, results), overlaps(truth, [entry | {"score": 1 - entry["score"]} for entry in results])]
    first, other = resample(files, "standard", 60, by_class=True)
    assert np.nan_to_num(class_intervals(first, first)).max() == 0
    gap = other.class_ap - first.class_ap
    lacking = np.isnan(gap).any(axis=0)
    found = class_intervals(other, first)
    assert lacking.any() and not lacking.all() and (np.isnan(found).all(axis=1) == lacking).all()
    np.testing.assert_allclose(found[~lacking].T, np.percentile(gap[:, ~lacking], [2.5, 97.5], axis=0), atol=1e-12)
