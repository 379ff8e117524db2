"""What each protocol does, in words for the table and as fields for the JSON."""

from __future__ import annotations

from typing import Any

from fasa.evaluation.metrics.matching import AREA_RANGES, CLASS_LIMIT, COCO_LIMITS, IMAGE_LIMIT, IOU_THRESHOLDS
from fasa.evaluation.metrics.precision_recall import RECALLS
from fasa.evaluation.metrics.tide import DETECTIONS_PER_IMAGE

WORDS = {
    ("lvis", "standard"): f"the best {IMAGE_LIMIT} detections of each image, as lvis-api",
    ("lvis", "fixed"): f"AP-Fixed, the best {CLASS_LIMIT:,} detections of each class, no limit an image",
    ("lvis", "pool"): f"AP-Pool, the best {CLASS_LIMIT:,} detections of each class, classes ranked together",
    ("coco", "standard"): f"the best {COCO_LIMITS[-1]} detections of each class in each image, as pycocotools",
}


def fields(kind: str, protocol: str, areas: str) -> dict[str, Any]:
    """The limits and thresholds of a protocol; None: no limit."""
    lvis = kind == "lvis"
    ranges = dict(zip(("all", "s", "m", "l"), AREA_RANGES.tolist(), strict=True))
    return {
        "detections_per_image": IMAGE_LIMIT if lvis and protocol == "standard" else None,
        "detections_per_class": CLASS_LIMIT if protocol != "standard" else None,
        "detections_per_image_and_class": None if lvis else COCO_LIMITS[-1],
        "federated": lvis,
        "classes_ranked_together": protocol == "pool",
        "iou_thresholds": [round(threshold, 2) for threshold in IOU_THRESHOLDS.tolist()],
        "recall_points": len(RECALLS),
        "area_of_detections": areas,
        "area_ranges": None if protocol == "pool" else ranges,
    }


def tide_fields(kind: str) -> dict[str, Any]:
    """The limits and thresholds of TIDE."""
    return {"detections_per_image": DETECTIONS_PER_IMAGE[kind], "iou_threshold": 0.5, "background_iou": 0.1}
