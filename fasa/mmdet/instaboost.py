"""InstaBoost (Fang et al., ICCV 2019): objects cut out, jittered and pasted back, by mmdet's transform.

The transform wants the package ``instaboostfast``, which few need: ``pip install instaboostfast``. Put it after
``LoadImageFromFile`` and before ``LoadAnnotations``: it works on the annotations as they are in the file.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from mmdet.datasets.transforms import InstaBoost as StockInstaBoost
from mmdet.registry import TRANSFORMS
from pycocotools import mask as coco

from fasa.errors import UserError

PACKAGE = "instaboostfast"
THIRDS = 3
SMALLEST = 2  # pixels: of what is smaller once rounded, the package cuts out nothing


@TRANSFORMS.register_module()
class SafeInstaBoost(StockInstaBoost):
    """mmdet's ``InstaBoost`` with its defaults, on annotations as LVIS and COCO have them.

    What the package cannot take is not given to it: run-length masks become polygons (their holes are filled, as the
    package itself fills those of all that it moves), boxes are cut at the image's border, and objects of less than two
    pixels stay where they are. If no object is left in the image afterwards, the image stays as it was.

    Args:
        options: those of mmdet's ``InstaBoost``.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self, **options: Any) -> None:
        if find_spec(PACKAGE) is None:
            raise UserError(
                f"the transform SafeInstaBoost needs the package {PACKAGE}, which is not installed: "
                f"pip install {PACKAGE} scikit-image."
            )
        super().__init__(**options)
        _mend_outlines()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``img`` (uint8 BGR) and ``instances`` of an image."""
        given, image = results.get("instances", []), results["img"]
        moved: list[dict[str, Any]] = []
        left: list[dict[str, Any]] = []
        for instance in given:
            usable = _usable(instance, *image.shape[:2])
            (left if usable is None else moved).append(instance if usable is None else usable)
        if not moved:
            return results
        changed = super().transform({**results, "instances": moved})
        changed["instances"] = changed["instances"] + left
        return changed if changed["instances"] else {**results, "instances": given}


def _mend_outlines() -> None:
    """Let the package take a mask that falls into pieces when it is moved.

    It subtracts 1 from the list of all outlines, of which numpy >= 1.24 makes no array unless they are equally long;
    of a list that is an array of objects already, numpy subtracts from each.
    """
    package: Any = import_module(f"{PACKAGE}.pycococreater")
    measure = import_module("skimage.measure")

    def find_contours(image: np.ndarray, level: float) -> np.ndarray:
        found = measure.find_contours(image, level)
        outlines = np.empty(len(found), dtype=object)
        for place, outline in enumerate(found):  # a slice would make one array of outlines that are equally long
            outlines[place] = outline
        return outlines

    package.measure = SimpleNamespace(find_contours=find_contours, approximate_polygon=measure.approximate_polygon)


def _usable(instance: dict[str, Any], height: int, width: int) -> dict[str, Any] | None:
    """The instance as the package can take it, or None."""
    if instance["ignore_flag"]:
        return None
    x1, y1, x2, y2 = instance["bbox"]
    x1, x2 = np.clip([x1, x2], 0, width).tolist()
    y1, y2 = np.clip([y1, y2], 0, height).tolist()
    if round(x2) - round(x1) < SMALLEST or round(y2) - round(y1) < SMALLEST:
        return None
    polygons = instance["mask"]
    if isinstance(polygons, dict):
        polygons = to_polygons(polygons)
    polygons = [polygon for polygon in polygons if len(polygon) >= 6]
    return {**instance, "bbox": [x1, y1, x2, y2], "mask": polygons} if polygons else None


def to_polygons(rle: dict[str, Any]) -> list[list[float]]:
    """Outlines x1, y1, x2, y2, … in pixels of a run-length mask, which holes apart give the same mask back."""
    if isinstance(rle["counts"], list):
        rle = coco.frPyObjects(rle, *rle["size"])
    # Outlines run through the centres of border pixels: of thirds of pixels, lest the mask lose half a pixel all round.
    mask = np.ascontiguousarray(coco.decode(rle)).repeat(THIRDS, 0).repeat(THIRDS, 1)
    outlines = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    return [((outline.reshape(-1) + 0.5) / THIRDS).tolist() for outline in outlines]
