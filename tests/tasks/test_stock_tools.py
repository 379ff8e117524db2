"""A dumped config by MMDetection's own tools, trained and tested."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from mmdet.datasets import CocoDataset
from stock_tools import ROOT, run_python, run_tool, shipped

from fasa.cli import main
from fasa.datasets.manifest import Split, read_manifest, write_manifest
from fasa.study import Study, load_study

pytestmark = [pytest.mark.slow, shipped]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    root = tmp_path_factory.mktemp("tools")
    (root / "configs").symlink_to(ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["data", "mask_rcnn", "--scale", "smoke"]) == 0
    return load_study(root, "smoke")


def figures(study: Study, recipe: str) -> set[str]:
    """Train and test ``recipe`` by the tools; the names of the figures that they log."""
    config = study.root / f"{recipe}.py"
    # What the command prints is the file: nothing else may come between.
    dump = ("-m", "fasa", "train", recipe, "--seed", "0", "--scale", "smoke", "--dump-config")
    config.write_text(run_python(study.root, *dump))
    work = study.root / f"work_{recipe}"
    run_tool(study.root, "train.py", config, "--work-dir", work)
    last = work / f"epoch_{study.recipe(recipe).schedule.epochs}.pth"
    told = run_tool(study.root, "test.py", config, last, "--work-dir", work)
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
