"""``fasa score`` on real annotations; FASA_TEST_DATA names a folder with them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("FASA_TEST_DATA", "nowhere")) / "coco_eval"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="FASA_TEST_DATA names no folder with coco_eval/ in it")

# What COCO's own demonstration prints for these files (cocoapi, PythonAPI/pycocoEvalDemo.ipynb).
PRINTED = {
    "bbox": "0.505 0.697 0.573 0.586 0.519 0.501 0.387 0.594 0.595 0.640 0.566 0.564",
    "segm": "0.320 0.562 0.299 0.387 0.310 0.327 0.268 0.415 0.417 0.469 0.377 0.381",
}


@pytest.mark.parametrize("iou_type", PRINTED)
def test_cocos_own_demonstration(iou_type, score, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = DATA / "instances_val2014_100.json", DATA / f"instances_val2014_fake{iou_type}100_results.json"
    status, text, _ = score(*files, "--iou-type", iou_type, "--json", "--verify")
    figures = json.loads(text)["files"][0]["protocols"]["standard"]["figures"]
    assert status == 0
    assert " ".join(f"{value:.3f}" for value in figures.values()) == PRINTED[iou_type]
