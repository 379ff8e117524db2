"""From real LVIS images to figures: a small detector is trained for a few steps, and every figure is the tools' own.

So few steps teach it no proposals, so it is given those of an oracle: what it writes overlaps real objects then.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.models.dense_heads import RPNHead
from mmengine.structures import InstanceData

from fasa.cli import main
from fasa.datasets.annotation_counts import count_annotations
from fasa.datasets.manifest import Manifest, Split, write_manifest
from fasa.evaluation import GroundTruth, evaluate, load_detections, load_ground_truth, overlaps
from fasa.evaluation.score.verification import verify
from fasa.study import Run, Study, load_study
from fasa.tasks.detection import topk_inference
from fasa.tasks.detection.training import trained_detector

ROOT = Path(__file__).parents[2]
RECIPE = "mask_rcnn_fasa"  # no row asks for its NorCal, which is an inference for each of its gammas
TRAINED_ON, MEASURED_ON = 16, 24  # images of those at hand; an image takes three seconds, for its 300 masks
pytestmark = pytest.mark.slow


def oracle(truth: GroundTruth):
    """An ``RPNHead.predict`` that proposes the boxes of the truth."""

    def predict(self, maps, samples, rescale=False):
        found = []
        for sample in samples:
            boxes = torch.tensor(truth.box[truth.image_ids[truth.image] == sample.img_id]).float().reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            n = len(boxes)
            found.append(InstanceData(bboxes=boxes, scores=torch.ones(n), labels=torch.zeros(n, dtype=torch.long)))
        return found

    return predict


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """The smoke scale on LVIS v0.5 images, the one with a rare object first; some of them for training, too."""
    data = Path(os.environ.get("FASA_TEST_DATA", "")) / "lvis"
    if not os.environ.get("FASA_TEST_DATA") or not (data / "images").exists():
        pytest.skip("FASA_TEST_DATA names no folder with lvis/images")
    root = tmp_path_factory.mktemp("lvis")
    (root / "configs").symlink_to(ROOT / "configs")
    for folder in ("train2017", "val2017"):  # as LVIS's addresses name them
        (root / folder).symlink_to(data / "images")
    document = json.loads((data / "lvis_val_100.json").read_text())
    names = {path.name for path in (data / "images").iterdir()}
    images = [image for image in document["images"] if image["coco_url"].rsplit("/", 1)[1] in names]
    assert len(images) == 64
    rare = {category["id"] for category in document["categories"] if category["frequency"] == "r"}
    shown = {entry["image_id"] for entry in document["annotations"] if entry["category_id"] in rare}
    images.sort(key=lambda image: image["id"] not in shown)
    splits = {}
    for part, chosen in (("train", images[:TRAINED_ON]), ("val", images[:MEASURED_ON])):
        ids = {image["id"] for image in chosen}
        objects = [entry for entry in document["annotations"] if entry["image_id"] in ids]
        path = root / f"{part}.json"
        path.write_text(json.dumps({**document, "images": chosen, "annotations": objects}))
        splits[part] = Split(str(path), f"{root}/")
    counts = count_annotations(root / "val.json")
    study = load_study(root, "smoke")
    manifest = Manifest(
        name="glyphs",  # LVIS's format with classes of its own: v0.5 has 1,230
        **splits,
        category_names=counts.names,
        frequencies=counts.frequencies,
        instance_counts=tuple(np.maximum(1, counts.instances).tolist()),
        image_counts=tuple(np.maximum(1, counts.images).tolist()),
        train_images=TRAINED_ON,
        repeat_threshold=0.1,
        tail_threshold=0.1,
    )
    write_manifest(manifest, study.data_path(RECIPE))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["train", RECIPE, "--seed", "0", "--scale", "smoke"]) == 0
        patch.setattr(RPNHead, "predict", oracle(load_ground_truth(root / "val.json")))
        assert main(["evaluate", RECIPE, "--seed", "0", "--scale", "smoke"]) == 0
    return study


def test_every_figure_is_that_of_the_official_tools(study):
    annotations = study.root / "val.json"
    found = study.work_dir(RECIPE, 0) / "detections.npz"
    pairs = overlaps(load_ground_truth(annotations), found)
    assert len(pairs.iou) > 0 and evaluate(pairs).summary["AP"] > 0  # there is something to match
    compared = verify(annotations, found, protocols=("standard",), tide=True)
    wrong = [f"{c.metric}: {c.ours} here, {c.official} by {c.tool}" for c in compared if not c.equal]
    assert len(compared) > 30 and not wrong, wrong
    measured = json.loads(study.metrics_path(RECIPE, 0).read_text())["measurements"]
    theirs = {c.metric: c.official for c in compared}
    assert {f"standard {name}": value for name, value in measured["mask_ap"].items()}.items() <= theirs.items()


def test_the_best_of_each_class_have_masks_where_lvis_judges(study, tmp_path, monkeypatch):
    truth = load_ground_truth(study.root / "val.json")
    monkeypatch.setattr(RPNHead, "predict", oracle(truth))
    detector, images, _ = trained_detector(study.job(Run(RECIPE, 0)))
    topk_inference.write_detections(detector, images, tmp_path / "best.npz", truth, per_class=20)
    found = load_detections(tmp_path / "best.npz")
    judged = truth.verified[np.searchsorted(truth.image_ids, found.image_id), found.category_id - 1]
    assert ((found.mask_area >= 0) == judged).all()
    assert 0 < judged.mean() < 0.1  # of 1,230 classes an image judges a dozen
    assert np.bincount(found.category_id, minlength=1231)[1:].min() >= 20
    best = evaluate(overlaps(truth, found), "fixed").summary
    assert best["APr"] is not None and best["AP"] >= 0


def test_the_rare_example(study):
    """The one rare object of the images."""
    path = study.metrics_path(RECIPE, 0).with_name("examples.json")
    (example,) = json.loads(path.read_text())["examples"]
    assert example["frequency"] == "r" and max(example["width"], example["height"]) == 480
    assert example["truth"] and example["found"]
    assert study.state(RECIPE, 0) == "done"
