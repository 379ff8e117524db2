"""Two-pass inference: the best of each class over the set, masks only where they can count."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet")

from mmcv.ops import batched_nms
from pycocotools import mask as coco
from toys_detection import CLASSES, SIDE, ToyScenes, build, image_batches, tiny_detector

from fasa.evaluation import DetectionWriter, average_precision, load_detections, load_ground_truth
from fasa.tasks.detection import topk_inference
from fasa.tasks.detection.topk_inference import FLOOR, RunningBest, detections, infer, suppress

CATEGORIES = [3, 5, 8, 13, 21]


def test_the_running_best_are_the_best(monkeypatch):
    monkeypatch.setattr("fasa.tasks.detection.topk_inference.MERGE_EVERY", 50)
    generator = torch.Generator().manual_seed(0)
    best, all_labels, all_scores = RunningBest(4, 7, 0.25), [], []
    for n in (3, 60, 0, 1, 49, 5):
        labels = torch.randint(0, 3, (n,), generator=generator)
        scores = torch.rand(n, generator=generator)
        best.add(labels, scores)
        all_labels.append(labels)
        all_scores.append(scores)
    best.gather()
    thresholds = best.thresholds
    labels, scores = torch.cat(all_labels), torch.cat(all_scores)
    for c in range(3):
        assert torch.equal(best.scores[c], scores[labels == c].sort(descending=True).values[:7])
        assert thresholds[c] == best.scores[c, -1].clamp(min=0.25)
    assert best.scores[3].isinf().all()
    assert thresholds[3] == 0.25


def test_the_best_of_two_processes(monkeypatch):
    """The other process, stood in for, has .9, .7 of class 0 and nothing of class 1."""
    other = torch.tensor([[0.9, 0.7, -torch.inf], [-torch.inf] * 3])

    def all_gather(tables, mine):
        tables[0].copy_(other)
        tables[1].copy_(mine)

    for name, value in {
        "is_initialized": lambda: True,
        "get_world_size": lambda: 2,
        "get_rank": lambda: 1,
        "all_gather": all_gather,
    }.items():
        monkeypatch.setattr(torch.distributed, name, value)
    best = RunningBest(2, 3, 0.1)
    best.add(torch.tensor([0, 0, 1]), torch.tensor([0.8, 0.3, 0.6]))
    best.gather()
    assert best.scores[0].tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert best.thresholds.tolist() == pytest.approx([0.7, 0.1])


def test_thresholds_before_nms_change_nothing_above_them():
    generator = torch.Generator().manual_seed(0)
    corner = 50 * torch.rand(200, 3, 2, generator=generator)
    boxes = torch.cat([corner, corner + 15], 2)
    scores = torch.rand(200, 4, generator=generator)
    nms = {"type": "nms", "iou_threshold": 0.5}
    everything = suppress(boxes.flatten(1), scores, torch.zeros(3), nms, 64)
    thresholds = torch.tensor([0.2, 0.5, 2.0])
    some = suppress(boxes.flatten(1), scores, thresholds, nms, 64)
    expected = everything[everything.scores >= thresholds[everything.labels]]
    assert len(some) > 20
    for key in ("bboxes", "scores", "labels"):
        assert torch.equal(some[key], expected[key])
    assert set(some.labels.tolist()) == {0, 1}


def test_how_many_boxes_a_call_takes_changes_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    corner = 50 * torch.rand(60, 9, 2, generator=generator)
    boxes, scores = torch.cat([corner, corner + 15], 2).flatten(1), torch.rand(60, 10, generator=generator)
    thresholds = torch.linspace(0.1, 0.9, 9)
    found, calls = [], []

    def counted(boxes, scores, chunks, *rest, **options):
        calls.append(len(chunks.unique()))
        return batched_nms(boxes, scores, chunks, *rest, **options)

    monkeypatch.setattr(topk_inference, "batched_nms", counted)
    for chunk in (1, 100, 10_000):
        monkeypatch.setattr(topk_inference, "NMS_CHUNK_OF_CPU", chunk)
        found.append(suppress(boxes, scores, thresholds, {"type": "nms", "iou_threshold": 0.5}, 64))
    assert calls == [9, 3, 1]  # each class alone, two to five, all
    assert 20 < len(found[0]) < (scores[:, :9] >= thresholds).sum()
    for other in found[1:]:
        for key in ("bboxes", "scores", "labels"):
            assert torch.equal(found[0][key], other[key]), key


def test_class_agnostic_boxes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [30, 30, 40, 40]])
    scores = torch.tensor([[0.9, 0.1, 0], [0.8, 0.4, 0], [0.3, 0.2, 0]])
    kept = suppress(boxes, scores, torch.zeros(2), {"type": "nms", "iou_threshold": 0.5}, 64)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.4, 0.3, 0.2])
    assert kept.labels.tolist() == [0, 1, 0, 1]
    assert torch.equal(kept.bboxes, boxes[[0, 1, 2, 2]])


@pytest.fixture(scope="module", params=[False, True], ids=["mask", "cascade"])
def detector(request):
    return build(tiny_detector(cascade=request.param))


@pytest.fixture
def annotations(tmp_path):
    """LVIS annotations of three images; each judges the classes of its two objects and one absent class."""
    categories = [
        {"id": c, "name": f"c{c}", "frequency": "f", "image_count": 9, "instance_count": 9} for c in CATEGORIES
    ]
    images, entries = [], []
    for i in range(3):
        sample = ToyScenes(3)[i]["data_samples"].gt_instances
        names = [CATEGORIES[c] for c in sample.labels.tolist()]
        images.append(
            {
                "id": i,
                "height": SIDE,
                "width": SIDE,
                "neg_category_ids": [CATEGORIES[(i + 2) % CLASSES]],
                "not_exhaustive_category_ids": [],
            }
        )
        for category, mask in zip(names, sample.masks.masks, strict=True):
            rle = coco.encode(np.asfortranarray(mask))
            entries.append(
                {
                    "id": len(entries) + 1,
                    "image_id": i,
                    "category_id": category,
                    "bbox": coco.toBbox(rle).tolist(),
                    "area": float(mask.sum()),
                    "segmentation": {"size": [SIDE, SIDE], "counts": rle["counts"].decode()},
                }
            )
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": entries, "categories": categories}))
    return load_ground_truth(path)


def run(detector, tmp_path, annotations=None, policy="all", size=(SIDE, SIDE), **options):
    path = tmp_path / f"{policy}.npz"
    with DetectionWriter(path, annotations, policy) as writer:
        thresholds = infer(detector, image_batches(size=size), writer, CATEGORIES, **options)
    return load_detections(path), thresholds


def test_without_a_limit_it_is_the_stock_prediction(detector, tmp_path):
    size = (32, 48)
    got, thresholds = run(detector, tmp_path, size=size)
    assert thresholds.tolist() == pytest.approx([FLOOR] * CLASSES)
    detector.roi_head.test_cfg.update(score_thr=0.0, max_per_img=-1)
    detector.eval()
    with torch.no_grad():
        expected = [sample.pred_instances for batch in image_batches(size=size) for sample in detector.test_step(batch)]
    detector.train()
    assert len(got) == sum(len(x) for x in expected) > 50
    for i, stock in enumerate(expected):
        mine = got.image_id == i
        order, theirs = np.argsort(-got.score[mine], kind="stable"), stock.scores.sort(descending=True, stable=True)
        np.testing.assert_allclose(got.score[mine][order], theirs.values.numpy(), rtol=1e-6)
        box = stock.bboxes[theirs.indices].numpy()
        np.testing.assert_allclose(got.box[mine][order][:, :2], box[:, :2], atol=1e-4)
        np.testing.assert_allclose(got.box[mine][order][:, 2:], box[:, 2:] - box[:, :2], atol=1e-4)
        assert got.category_id[mine][order].tolist() == [CATEGORIES[c] for c in stock.labels[theirs.indices]]
        areas = stock.masks[theirs.indices].flatten(1).sum(1).numpy()
        assert (got.mask_area[mine][order] == areas).all()
        assert (got.size[mine] == size).all()


@pytest.mark.parametrize("merge_every", [10, 1 << 20])
def test_each_class_keeps_its_best_over_the_set(detector, tmp_path, merge_every, monkeypatch):
    monkeypatch.setattr("fasa.tasks.detection.topk_inference.MERGE_EVERY", merge_every)
    everything, _ = run(detector, tmp_path)
    got, thresholds = run(detector, tmp_path, per_class=10, slack=1.0)
    for c, category in enumerate(CATEGORIES):
        best = np.sort(everything.score[everything.category_id == category])[::-1][:10]
        mine = np.sort(got.score[got.category_id == category])[::-1]
        assert (mine[:10] == best).all()
        assert (mine >= float(thresholds[c])).all()
        assert float(thresholds[c]) == best[-1]
    assert len(got) < len(everything) / 2


def test_masks_are_made_only_where_the_annotations_judge(detector, tmp_path, annotations, monkeypatch):
    made = []
    masks = topk_inference._masks
    monkeypatch.setattr(topk_inference, "_masks", lambda *a: made.append(len(a[3])) or masks(*a))
    monkeypatch.setattr(topk_inference, "MASK_CHUNK", 7)
    got, _ = run(detector, tmp_path, annotations, "verified", per_class=20)
    everything, _ = run(detector, tmp_path, annotations, "all", per_class=20)
    judged = annotations.verified[got.image_id, np.searchsorted(CATEGORIES, got.category_id)]
    assert ((got.mask_area >= 0) == judged).all()
    assert 0 < judged.sum() < len(got)
    assert max(made) == 7
    assert (got.score == everything.score).all()
    for protocol in ("fixed", "pool"):
        scores = [average_precision(annotations, x, protocol=protocol) for x in (got, everything)]
        assert scores[0] == scores[1]


def test_modes_and_random_numbers_are_left_alone(detector, tmp_path):
    state = torch.get_rng_state()
    run(detector, tmp_path, per_class=5)
    assert detector.training
    assert torch.equal(torch.get_rng_state(), state)


def test_an_image_without_proposals(detector):
    batch = image_batches(1)[0]
    predict = detector.rpn_head.predict
    detector.rpn_head.predict = lambda *a, **k: [x[:0] for x in predict(*a, **k)]
    detector.eval()
    try:
        with torch.no_grad():
            ((_, result),) = detections(detector, batch, torch.zeros(CLASSES))
    finally:
        del detector.rpn_head.predict
        detector.train()
    assert len(result) == 0
