"""Every kind of model takes one optimiser step on real COCO images; small ones, for a CPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from test_configs import DISTINCT

from fasa.datasets.annotation_counts import count_annotations
from fasa.datasets.manifest import Manifest, Split, write_manifest
from fasa.study import Run, Study, load_study
from fasa.tasks.detection.configs import build

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """The paper's scale on the 80 training images of coco_mini, whose classes get letters by their size."""
    data = Path(os.environ.get("FASA_TEST_DATA", "")) / "coco_mini"
    if not os.environ.get("FASA_TEST_DATA") or not data.exists():
        pytest.skip("FASA_TEST_DATA names no folder with coco_mini")
    root = tmp_path_factory.mktemp("coco")
    (root / "configs").symlink_to(ROOT / "configs")
    study = load_study(root, "paper")
    counts = count_annotations(data / "instances_train.json")
    manifest = Manifest(
        name="coco_lt",
        train=Split(str(data / "instances_train.json"), f"{data}/train/"),
        val=Split(str(data / "instances_val.json"), f"{data}/val/"),
        category_names=counts.names,
        frequencies=tuple(np.select([counts.images < 3, counts.images < 8], ["r", "c"], "f").tolist()),
        instance_counts=tuple(np.maximum(1, counts.instances).tolist()),
        image_counts=tuple(np.maximum(1, counts.images).tolist()),
        train_images=80,
        repeat_threshold=0.05,
        tail_threshold=0.1,
    )
    for name in ("mask_rcnn", "coco_lt"):
        write_manifest(manifest, study.data_path(name))
    register_all_modules()
    return study


@pytest.mark.parametrize("name", DISTINCT)
def test_one_step(study, name):
    config = build(study.job(Run(name, 0)))
    config.model.backbone.init_cfg = None
    config.model.pop("stage_one", None)
    loader = config.train_dataloader
    loader.batch_size, loader.num_workers = 2, 0
    leaf = loader.dataset.get("dataset", loader.dataset)
    leaf.pipeline = [
        {**step, "scale": (160, 128)} if step["type"] == "Resize" else step
        for step in (
            {"type": "Resize", "keep_ratio": True} if s["type"] == "RandomChoiceResize" else s for s in leaf.pipeline
        )
    ]
    torch.manual_seed(0)
    detector = MODELS.build(config.model)  # torch's own first weights: mmdet's take seconds to draw
    optimiser = build_optim_wrapper(detector, config.optim_wrapper)
    classifier = detector.roi_head.bbox_head
    classifier = classifier[0] if isinstance(classifier, torch.nn.ModuleList) else classifier
    watched = (classifier.calibrated if hasattr(classifier, "calibrated") else classifier).fc_cls.weight
    before = watched.detach().clone()
    for augmented in (m for m in detector.modules() if hasattr(m, "fasa")):
        augmented.fasa.epoch += 1  # virtual features from the first step on
    losses = detector.train().train_step(next(iter(Runner.build_dataloader(loader))), optimiser)
    assert all(torch.isfinite(torch.as_tensor(value)).all() for value in losses.values())
    assert not torch.equal(before, watched)
