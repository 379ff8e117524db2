"""LVIS v1 as lvisdataset.org publishes it: what must be there before a training."""

from __future__ import annotations

from pathlib import Path

from fasa.datasets.annotation_check import SAMPLE, Expected, Report, compare
from fasa.errors import UserError

CLASSES = 1203
TRAIN_IMAGES, VAL_IMAGES = 99_388, 19_809  # with an annotation; all
REPEAT = 1e-3  # t of repeat factor sampling (Gupta et al., LVIS)
TAIL = 1.1e-3  # EQL's lambda on LVIS v1 (eqlv2): rare and common classes
# The letters decide, not the counts: rare is up to 10 images, common up to 100, one more each than the paper's bounds.
FREQUENCIES = {"r": 337, "c": 461, "f": 405}
CONFUSED_WITH = {1230: "LVIS v0.5", 1231: "LVIS v0.5 with a background class", 80: "COCO"}
IMAGE_FIX = (
    "name the folder that holds train2017 and val2017 and unpack COCO's train2017.zip and val2017.zip there "
    "(LVIS v1 takes its val images from both)"
)


def _split(split: str, **numbers: int) -> Expected:
    return Expected(
        name=f"LVIS v1 {split}",
        fix=f"get lvis_v1_{split}.json from lvisdataset.org",
        classes=CLASSES,
        frequencies=FREQUENCIES,
        federated=True,
        confused_with=CONFUSED_WITH,
        image_fix=IMAGE_FIX,
        **numbers,
    )


SPLITS = {
    "train": _split("train", annotated_images=TRAIN_IMAGES, instances=1_270_141),
    "val": _split("val", images=VAL_IMAGES),
}


def check(annotations: Path, images: Path, split: str, sample: int = SAMPLE) -> Report:
    """What is wrong with a copy of LVIS v1's ``split``, "train" or "val".

    ``images`` is the folder that holds train2017 and val2017; ``sample`` images are decoded.

    Raises:
        UserError: there is no such split.
    """
    if split not in SPLITS:
        raise UserError(f"LVIS v1 has no split {split}: choose one of {', '.join(SPLITS)}.")
    return compare(annotations, images, SPLITS[split], sample)
