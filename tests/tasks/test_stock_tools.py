"""A dumped config by MMDetection's own tools, trained and tested: as they are shipped, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
from mmdet.datasets import CocoDataset

from fasa.datasets.manifest import Split, read_manifest, write_manifest
from fasa.study import Study, load_study

ROOT = Path(__file__).parents[2]
TOOLS = Path(mmdet.__file__).parent / ".mim/tools"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (TOOLS / "test.py").exists(), reason="this package of MMDetection ships no tools"),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    root = tmp_path_factory.mktemp("tools")
    (root / "configs").symlink_to(ROOT / "configs")
    study = load_study(root, "smoke")
    run(study, "-m", "fasa", "data", "mask_rcnn", "--scale", "smoke")
    return study


def run(study: Study, *command: str) -> str:
    """What Python prints with the arguments ``command``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=study.root, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def figures(study: Study, recipe: str) -> set[str]:
    """Train and test ``recipe`` by the tools; the names of the figures that they log."""
    config = study.root / f"{recipe}.py"
    # What the command prints is the file: nothing else may come between.
    config.write_text(run(study, "-m", "fasa", "train", recipe, "--seed", "0", "--scale", "smoke", "--dump-config"))
    work = study.root / f"work_{recipe}"
    run(study, str(TOOLS / "train.py"), str(config), "--work-dir", str(work))
    last = work / f"epoch_{study.recipe(recipe).schedule.epochs}.pth"
    told = run(study, str(TOOLS / "test.py"), str(config), str(last), "--work-dir", str(work))
    return set(re.findall(r"(\w+/\w+): -?\d\.\d+", told))


def test_a_recipe_of_lvis(study):
    assert figures(study, "mask_rcnn_fasa") >= {"lvis/segm_AP", "lvis/segm_APr", "lvis/bbox_AP"}
    assert list((study.root / "work_mask_rcnn_fasa").glob("history.jsonl"))  # FASA was at work


def test_a_recipe_of_coco_lt(study):
    """The scenes as COCO has them: its classes' names, and no frequencies."""
    scenes = read_manifest(study.data_path("coco_lt"))
    names = CocoDataset.METAINFO["classes"]
    splits = {}
    for part in ("train", "val"):
        split = getattr(scenes, part)
        content = json.loads(Path(split.annotations).read_text())
        categories = [{"id": number + 1, "name": name} for number, name in enumerate(names)]
        entries = [entry | {"iscrowd": 0} for entry in content["annotations"]]
        path = study.root / f"coco_{part}.json"
        path.write_text(json.dumps({"images": content["images"], "annotations": entries, "categories": categories}))
        splits[part] = Split(str(path), split.images)
    counts = (*scenes.instance_counts, *[1] * (len(names) - scenes.classes))
    manifest = type(scenes)(
        **vars(scenes)
        | splits
        | {"name": "coco_lt", "category_names": names, "frequencies": ("",) * len(names)}
        | {"instance_counts": counts, "image_counts": counts}
    )
    write_manifest(manifest, study.data_path("coco_lt"))
    try:
        assert figures(study, "coco_lt_fasa") >= {"coco/segm_mAP", "coco/bbox_mAP_50"}
    finally:
        write_manifest(scenes, study.data_path("coco_lt"))
