"""NorCal: its formula by hand, detections of each power, and what is measured with them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.ops import nms
from pycocotools import mask as coco
from toys_detection import CLASSES, COUNTS, SIDE, ToyScenes, build, image_batches, tiny_detector

from fasa.evaluation import GroundTruth, load_ground_truth
from fasa.tasks.detection import norcal
from fasa.tasks.detection.norcal import calibrate, detections
from fasa.tasks.detection.topk_inference import scored_boxes

ONES = torch.ones(CLASSES, dtype=torch.long)


def test_formula_by_hand() -> None:
    """Of 0.6, 0.1 and background 0.3, with 100 and 4 images: 0.06, 0.05 and 0.3 at a power of one half, of 0.41."""
    scores, counts = torch.tensor([[0.6, 0.1, 0.3], [0.0, 0.0, 1.0]]), torch.tensor([100, 4])
    half = torch.tensor([[6 / 41, 5 / 41, 30 / 41], [0, 0, 1]])
    torch.testing.assert_close(calibrate(scores, counts, 0.5), half)
    whole = torch.tensor([[0.006, 0.025, 0.3], [0, 0, 1]]) / torch.tensor([[0.331], [1]])
    torch.testing.assert_close(calibrate(scores, counts, 1.0), whole)


def test_the_background_is_left_as_it_was() -> None:
    """Of its odds against each class only the class's size is taken out: none for a class of one image."""
    torch.manual_seed(0)
    scores, counts = torch.randn(20, 4).softmax(1), torch.tensor([1, 9, 500])
    odds, after = (s[:, :3] / s[:, 3:] for s in (scores, calibrate(scores, counts, 0.5)))
    torch.testing.assert_close(after, odds / counts**0.5)
    torch.testing.assert_close(calibrate(scores, counts, 0.5).sum(1), torch.ones(20))


def test_power_0_changes_no_bit() -> None:
    torch.manual_seed(0)
    scores = (5 * torch.randn(2000, 1204)).softmax(1)
    assert torch.equal(calibrate(scores, torch.randint(1, 2000, (1203,)), 0.0), scores)


@pytest.fixture(params=[False, True], ids=["mask", "cascade"])
def detector(request: pytest.FixtureRequest) -> torch.nn.Module:
    made = build(tiny_detector(cascade=request.param)).eval()
    made.roi_head.test_cfg.update(score_thr=1e-4, max_per_img=12)
    return made


@torch.no_grad()
def test_power_0_gives_the_detectors_own_detections(detector: torch.nn.Module) -> None:
    for batch in image_batches():
        own = [sample.pred_instances for sample in detector.test_step(batch)]
        ours = [found for _, _, found in detections(detector, batch, torch.tensor(COUNTS), (0.0,))]
        for expected, found in zip(own, ours, strict=True):
            assert len(found) == 12
            for key in ("bboxes", "scores", "labels"):
                assert torch.equal(found[key], expected[key]), key


@torch.no_grad()
def test_scores_change_before_suppression_and_the_limit(detector: torch.nn.Module) -> None:
    """Class by class, by mmcv's suppression: the best twelve of what is left, which are other classes than before."""
    counts = torch.tensor([1, 10, 100, 1000, 10000])
    for batch in image_batches():
        raw = [found for _, found in scored_boxes(detector, batch)]
        ours = [(gamma, found) for _, gamma, found in detections(detector, batch, counts, (0.0, 1.0))]
        assert [gamma for gamma, _ in ours] == [0.0, 1.0] * len(raw)
        for one, (_, before), (_, after) in zip(raw, ours[::2], ours[1::2], strict=True):
            scores = calibrate(one.scores, counts, 1.0)
            left = []
            for label in range(CLASSES):
                own = scores[:, label] > 1e-4
                corners = one.bboxes.unflatten(1, (-1, 4))
                boxes = corners[own, min(label, corners.shape[1] - 1)]
                if own.any():
                    left.append(nms(boxes, scores[own, label], 0.5)[0][:, 4])
            best = torch.cat(left).sort(descending=True).values[:12]
            torch.testing.assert_close(after.scores, best)
            assert set(after.labels.tolist()) != set(before.labels.tolist())
            assert after.labels.float().mean() < before.labels.float().mean()  # rarer ones come first here


@pytest.fixture
def truth(tmp_path: Path) -> GroundTruth:
    """LVIS annotations of three toy scenes."""
    names = [{"id": c + 1, "name": f"c{c}", "frequency": "rcf"[c % 3], "image_count": 9} for c in range(CLASSES)]
    for name in names:
        name["instance_count"] = 9
    images, entries = [], []
    for i in range(3):
        objects = ToyScenes(3)[i]["data_samples"].gt_instances
        judged = {"neg_category_ids": [(i + 2) % CLASSES + 1], "not_exhaustive_category_ids": []}
        images.append({"id": i, "height": SIDE, "width": SIDE, **judged})
        for label, mask in zip(objects.labels.tolist(), objects.masks.masks, strict=True):
            rle = coco.encode(np.asfortranarray(mask))
            shape = {"size": [SIDE, SIDE], "counts": rle["counts"].decode()}
            box, area = coco.toBbox(rle).tolist(), float(mask.sum())
            number = len(entries) + 1
            entry = {"id": number, "image_id": i, "category_id": label + 1, "bbox": box, "area": area}
            entries.append({**entry, "segmentation": shape})
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": entries, "categories": names}))
    return load_ground_truth(path)


class Batches(list):
    """Test batches with the data set that a loader has."""

    dataset = SimpleNamespace(cat_ids=list(range(1, CLASSES + 1)))


def measured(truth: GroundTruth, counts: torch.Tensor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """NorCal of a detector that finds each object as its own class and, far better, as class 4; two are reported."""
    detector = build(tiny_detector()).eval()
    detector.roi_head.test_cfg.max_per_img = 2

    def found(_: torch.nn.Module, batch: dict) -> list:
        scenes = []
        for sample in batch["data_samples"]:
            objects = sample.gt_instances
            scores = torch.full((len(objects), CLASSES + 1), 0.01)
            scores[torch.arange(len(objects)), objects.labels] = 0.1
            scores[:, 4] = 0.5
            scores[:, -1] = 1 - scores[:, :-1].sum(1)
            boxes = SimpleNamespace(bboxes=objects.bboxes, scores=scores)
            data = detector.data_preprocessor({key: batch[key] for key in ("inputs", "data_samples")}, training=False)
            maps = detector.extract_feat(data["inputs"][:1])
            scenes.append((norcal.Image(tuple(maps), sample.metainfo), boxes))
        return scenes

    monkeypatch.setattr(norcal, "scored_boxes", found)
    return norcal.measure(detector, Batches(image_batches()), truth, counts, folder)


def test_the_power_is_the_best_for_boxes(truth: GroundTruth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Class 4 has 100 times as many images: from the power 0.4 on, 100 ** 0.4 = 6.3 > 5, the right class leads."""
    monkeypatch.setattr(norcal, "GAMMAS", (0.0, 0.3, 0.4, 1.0))
    found = measured(truth, torch.tensor([1, 1, 1, 1, 100]), tmp_path, monkeypatch)
    assert found["candidates"]["gamma"] == [0.0, 0.3, 0.4, 1.0]
    assert found["candidates"]["box_ap"] == pytest.approx([0, 0, 1, 1])
    assert found["tuned"]["gamma"] == 0.4 and found["whole"]["gamma"] == 1.0  # of equals the least
    assert found["tuned"]["box_ap"]["AP"] == found["whole"]["box_ap"]["AP"] == pytest.approx(1)
    assert {"AP", "APr", "APc", "APf"} <= set(found["whole"]["mask_ap"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations.json"]  # nothing is left behind


def test_without_a_tail_every_power_is_the_same_and_the_least_is_taken(
    truth: GroundTruth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured(truth, ONES, tmp_path, monkeypatch)
    assert len(set(found["candidates"]["box_ap"])) == 1 and found["candidates"]["gamma"][0] == 0
    assert found["tuned"]["gamma"] == 0.0
    for place in ("mask_ap", "box_ap"):
        assert found["tuned"][place] == found["whole"][place]
