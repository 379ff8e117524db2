"""The files of configs/mmdet: each builds the whole detector and trains as it is, on a few images in its folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmdet.datasets import CocoDataset, LVISV1Dataset
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from stock_tools import ROOT, run_tool, shipped

from fasa.tasks.detection.configs import lay_over

CONFIGS = sorted((ROOT / "configs/mmdet").glob("*.py"))
MILLIONS = {  # of parameters, as MMDetection's own with so many classes
    "mask-rcnn_r50_lvis": 50.44, "mask-rcnn_r101_lvis": 69.43, "mask-rcnn_x101-32x8d_lvis": 113.67,
    "cascade-mask-rcnn_r101_lvis": 100.64, "mask-rcnn_r50_coco-lt": 44.05,
}  # fmt: skip
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with ``data/`` as MMDetection lays it out: two images to train on, one to test on, and every class."""
    root = tmp_path_factory.mktemp("run")
    write_data(root / "data/lvis_v1", LVISV1Dataset, "lvis_v1_train", "lvis_v1_val", "train2017")
    write_data(root / "data/coco", CocoDataset, "train_coco2017_LT_sampled", "instances_val2017", "val2017")
    return root


def write_data(folder: Path, kind: type, train: str, val: str, val_images: str) -> None:
    """LVIS v1's validation images lie in both of COCO's folders."""
    rng = np.random.default_rng(0)
    names = kind.METAINFO["classes"]
    lvis = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for name, place, first, sides in ((train, "train2017", 1, (16, 64, 64)), (val, val_images, 9, (64,))):
        (folder / place).mkdir(parents=True, exist_ok=True)
        images, annotations = [], []
        for number, side in enumerate(sides, start=first):
            file = f"{number:012}.jpg"
            Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).save(folder / place / file)
            url = f"http://images.cocodataset.org/{place}/{file}"
            images.append({"id": number, "height": side, "width": side, "file_name": file, "coco_url": url, **lvis})
            # An object of every class in an image that is too small to train on: they are only counted.
            labels, size = (range(len(names)), 4) if side == 16 else (range(number, number + 3), 24)
            for label in labels:
                x, y = (int(v) for v in rng.integers(0, side - size, 2))
                annotations.append(
                    {
                        "id": len(annotations) + 1, "image_id": number, "category_id": label + 1, "iscrowd": 0,
                        "bbox": [x, y, size, size], "area": size * size,
                        "segmentation": [[x, y, x + size, y, x + size, y + size, x, y + size]],
                    }
                )  # fmt: skip
        categories = [{"id": i, "name": name, "frequency": "f"} for i, name in enumerate(names, start=1)]
        path = folder / "annotations" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def parts(path: Path) -> tuple[str, str, str]:
    """Detector, backbone and data set in a file's name."""
    detector, backbone, *_, data = path.stem.split("_")
    return detector, backbone, data


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_detector_is_built_whole(root, monkeypatch, path):
    monkeypatch.chdir(root)
    register_all_modules()
    detector = MODELS.build(Config.fromfile(path).model)
    heads = detector.roi_head.bbox_head
    heads = heads if "cascade" in path.stem else [heads]
    assert all((getattr(head, "augmenter", None) is not None) == ("fasa" in path.stem) for head in heads)
    millions = sum(parameter.numel() for parameter in detector.parameters()) / 1e6
    assert millions == pytest.approx(MILLIONS["_".join(parts(path))], abs=0.006)


def smaller(config: Config, path: Path) -> Config:
    """``config`` with a small network and small images, in one process."""
    for name in ("small", f"small_{parts(path)[1].replace('-', '_')}"):
        scale = path.parent / "scales" / f"{name}.py"
        if scale.exists():
            config = Config(lay_over(config.to_dict(), {"model": Config.fromfile(scale).to_dict().get("model", {})}))

    def visit(part: Any) -> None:
        if isinstance(part, dict):
            if part.get("type") == "RandomChoiceResize":
                part["scales"] = [(96, 64), (96, 72)]
            if part.get("type") == "Resize":
                part["scale"] = (96, 64)
            if "num_workers" in part:
                part.update(num_workers=0, persistent_workers=False)
        for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            visit(value)

    visit(config._cfg_dict)
    return config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_trains_and_validates_by_mmdetections_runner(root, monkeypatch, tmp_path, path):
    monkeypatch.chdir(root)
    monkeypatch.setattr("yapf.yapflib.yapf_api.FormatCode", lambda text, **_: (text, False))  # seconds, for the log
    config = smaller(Config.fromfile(path), path)
    config.work_dir, config.train_cfg.max_epochs, config.log_level = str(tmp_path), 1, "WARNING"
    config.experiment_name = path.stem
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.iter == len(runner.train_dataloader) == 1  # of two images
    assert np.isfinite(runner.message_hub.get_scalar("train/loss").current())
    assert {"val/lvis/segm_AP", "val/coco/segm_mAP"} & set(runner.message_hub.log_scalars)
    history = tmp_path / "history.jsonl"
    assert history.exists() == ("fasa" in path.stem)
    if history.exists():
        (line,) = map(json.loads, history.read_text().splitlines())
        assert len(line["heads"]) == (3 if "cascade" in path.stem else 1)
        for head in line["heads"].values():
            assert sum(head["validation_count"]) > 0 and len(head["probabilities"]) == len(head["groups"])


@shipped
def test_mmdetections_own_tool_trains_it_as_it_is(root, tmp_path):
    """The weights of ImageNet aside, which are downloaded, and with smaller images."""
    path = ROOT / "configs/mmdet/mask-rcnn_r50_fpn_rfs-fasa_lvis.py"
    sizes = "dataset.dataset.pipeline.2.scales=[(96,64)]"
    changes = ("model.backbone.init_cfg=None", "train_cfg.max_epochs=1", "train_cfg.val_begin=9")
    changes += (f"train_dataloader.{sizes}", f"custom_hooks.1.dataloader.{sizes}")
    run_tool(root, "train.py", path, "--work-dir", tmp_path, "--cfg-options", *changes)
    assert (tmp_path / "epoch_1.pth").exists() and (tmp_path / "history.jsonl").exists()
