"""LVIS annotations of a few images, and what a detector of MMDetection would say of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco

Json = dict[str, Any]

HEIGHT, WIDTH = 120, 140
CATEGORY_IDS = [7, 3, 12, 5, 9]  # in the order of the file, which is that of the labels
FREQUENCIES = "rfcfr"


def rectangle(box: Any) -> np.ndarray:
    """The pixels of a box x1, y1, x2, y2, bool (height, width)."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x1, y1, x2, y2 = (round(float(v)) for v in box)
    mask[y1:y2, x1:x2] = True
    return mask


def predicted(seed: int = 0, images: int = 9, grid: float = 0.0) -> tuple[Json, list[Json]]:
    """Annotations, with crowd flags for COCO's tools, and data samples of 25 detections an image, none in the last.

    Args:
        grid: boxes are multiples of it; 0: any numbers.
    """
    rng = np.random.default_rng(seed)
    listed, annotations, samples = [], [], []
    for number in range(images):
        image_id = 11 * (images - number)
        truths = [(box(rng, grid), int(rng.integers(len(CATEGORY_IDS)))) for _ in range(rng.integers(1, 6))]
        for x1, y1, x2, y2, label in ((*corners, label) for corners, label in truths):
            mask = coco.encode(np.asfortranarray(rectangle((x1, y1, x2, y2))))
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image_id, "category_id": CATEGORY_IDS[label],
                    "bbox": [x1, y1, x2 - x1, y2 - y1], "area": float(coco.area(mask)), "iscrowd": 0,
                    "segmentation": {"size": [HEIGHT, WIDTH], "counts": mask["counts"].decode()},
                }
            )  # fmt: skip
        absent = set(CATEGORY_IDS) - {CATEGORY_IDS[label] for _, label in truths}
        judged = [c for c in sorted(absent) if rng.random() < 0.5]
        unfinished = [c for c in CATEGORY_IDS if rng.random() < 0.2]
        listed.append({"id": image_id, "height": HEIGHT, "width": WIDTH})
        listed[-1] |= {"neg_category_ids": judged, "not_exhaustive_category_ids": unfinished}
        samples.append(sample(rng, image_id, truths, 25 if number < images - 1 else 0, grid))
    categories = [
        {"id": c, "name": f"class {c}", "frequency": letter}
        for c, letter in zip(CATEGORY_IDS, FREQUENCIES, strict=True)
    ]
    return {"info": {}, "images": listed, "annotations": annotations, "categories": categories}, samples


def sample(rng: np.random.Generator, image_id: int, truths: list[Any], count: int, grid: float) -> Json:
    """A data sample of ``count`` detections, half of them near an object; a third of the scores are equal ones."""
    boxes, labels = [], []
    for _ in range(count):
        corners, label = truths[rng.integers(len(truths))]
        near = np.clip(corners + rng.normal(0, 3, 4), 0, [WIDTH, HEIGHT] * 2)
        near = snapped(near, grid)
        if rng.random() < 0.5 and (near[2:] - near[:2] > 1).all():
            boxes.append(near)
        else:
            boxes.append(box(rng, grid))
        labels.append(label if rng.random() < 0.7 else int(rng.integers(len(CATEGORY_IDS))))
    scores = rng.random(count)
    masks = np.array([rectangle(corners) for corners in boxes]).reshape(count, HEIGHT, WIDTH)
    found = {
        "bboxes": torch.tensor(np.array(boxes).reshape(count, 4), dtype=torch.float32),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "scores": torch.tensor(np.where(rng.random(count) < 0.3, scores.round(1), scores), dtype=torch.float32),
        "masks": torch.from_numpy(masks),
    }
    return {"img_id": image_id, "ori_shape": (HEIGHT, WIDTH), "pred_instances": found}


def box(rng: np.random.Generator, grid: float) -> np.ndarray:
    """A box x1, y1, x2, y2 in the image."""
    size = rng.uniform(8, 100 if rng.random() < 0.3 else 40, 2)
    corner = rng.uniform(0, [WIDTH, HEIGHT] - size)
    return snapped(np.concatenate([corner, corner + size]), grid)


def snapped(corners: np.ndarray, grid: float) -> np.ndarray:
    return np.round(corners / grid) * grid if grid else corners
