"""A study of detectors that takes seconds a recipe: scale ``smoke`` with fewer scenes and fewer regions of each."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from toys_study import CONFIGS

from fasa.study import Study, load_study

SCENES = {"classes": 8, "train_images": 4, "val_images": 2, "side": 64, "objects": [3, 5]}
DATA = {"name": "glyphs", "options": SCENES}
FEW: dict[str, Any] = {
    "base": "smoke",
    "description": "Two epochs of a step.",
    "detection": {
        "data": {"lvis": DATA, "coco_lt": DATA},
        "model": "few",
        "schedule": {"batch_size": 8, "sampler_options": {"steps": 1}},
        "evaluate_images": 2,
    },
}
LONG = {"base": "few", "description": "Two epochs of what takes 24.", "detection": {"epochs": 0.085}}
# Laid over the models after configs/mmdet/scales/small.py.
FEWER_REGIONS = """
model["train_cfg"]["rpn_proposal"].update(nms_pre=60, max_per_img=24)
model["train_cfg"]["rcnn"]["sampler"].update(num=24)
model["test_cfg"]["rpn"].update(nms_pre=60, max_per_img=24)
model["test_cfg"]["rcnn"].update(max_per_img=10)
"""


def write_root(root: Path) -> None:
    """Put a copy of configs/ with the scales ``few`` and ``long`` into ``root``."""
    shutil.copytree(CONFIGS, root / "configs")
    for name, scale in (("few", FEW), ("long", LONG)):
        (root / f"configs/scales/{name}.yaml").write_text(yaml.safe_dump(scale))
    models = root / "configs/mmdet/scales"
    for path in models.glob("small*.py"):
        shutil.copy(path, models / path.name.replace("small", "few"))
    with (models / "few.py").open("a") as file:
        file.write(FEWER_REGIONS)


@cache
def study(root: Path, recipe: str) -> Study:
    """The study in ``root`` at the scale at which ``recipe`` takes two epochs, its data prepared."""
    made = _study(root, "few")
    if made.recipe(recipe).schedule.epochs > 2:
        made = _study(root, "long")
    made.task(recipe).prepare(root, made.recipe(recipe), None)
    return made


_study = cache(load_study)
