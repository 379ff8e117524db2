"""One pass over the detections: columns, and every pair with ground truth that a metric can need; no mask is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.geometry.intersections import box_pairs, mask_pairs
from fasa.evaluation.io.detections import Detections, DetectionSource, open_detections
from fasa.evaluation.io.ground_truth import GroundTruth
from fasa.evaluation.threads import cores

IOU_TYPES = ("segm", "bbox")
AREAS = ("mask", "box")
PIECE = 16_384  # detections that one thread takes at a time


@dataclass(frozen=True)
class Overlaps:
    """The columns of all detections, in file order, and their pairs with ground truth.

    Crowd truth (COCO) has the intersection over the detection's own area for an IoU, as pycocotools does it, and is
    paired with its own class only.
    """

    ground_truth: GroundTruth
    iou_type: str
    image: np.ndarray  # int32 (n,): index into ground_truth.image_ids
    category: np.ndarray  # int32 (n,): index into category_ids; K + j: the j-th of the ids that the annotations lack
    score: np.ndarray  # float64 (n,)
    area: np.ndarray  # float64 (n,), square pixels; NaN where no mask is stored
    detection: np.ndarray  # int32 (P,), ascending
    truth: np.ndarray  # int32 (P,): row of the ground truth
    iou: np.ndarray  # float64 (P,)
    all_classes: bool  # pairs of any two classes from BACKGROUND_IOU on; else of one class from MATCH_IOU on
    matches: dict[str, Any] = field(
        default_factory=dict, repr=False, compare=False
    )  # fasa.evaluation.metrics.matching keeps them


def overlaps(
    ground_truth: GroundTruth,
    detections: Any,
    iou_type: str = "segm",
    all_classes: bool = False,
    area: str = "mask",
    progress: Callable[[int, int], None] | None = None,
) -> Overlaps:
    """Read ``detections`` once (a path, a list of entries, columns or a source) and pair them with ``ground_truth``.

    Args:
        all_classes: keep what TIDE needs, too.
        area: whether a detection's size for APs, APm, APl is its mask's or, as the official tools do when an entry of
            mask results has a "bbox", its box's.
        progress: told the bytes read so far and in all.

    Raises:
        UserError: an unknown image, a mask of another size than its image, no masks or no boxes where they are needed.
    """
    if iou_type not in IOU_TYPES or area not in AREAS:
        raise UserError(f"iou_type is one of {', '.join(IOU_TYPES)} and area one of {', '.join(AREAS)}.")
    source = detections if isinstance(detections, DetectionSource) else open_detections(detections)
    _check_inputs(ground_truth, source, iou_type, all_classes)
    threads = cores()
    columns: list[tuple[np.ndarray, ...]] = []
    pairs: list[tuple[np.ndarray, ...]] = []
    pending: deque[tuple[int, Future]] = deque()

    def collect(leave: int) -> None:
        while len(pending) > leave:
            first, future = pending.popleft()
            detection, truth, iou = future.result()
            pairs.append(((detection + first).astype(np.int32), truth, iou))

    with ThreadPoolExecutor(threads) as pool:
        for chunk in source.chunks():
            image = _images(ground_truth, chunk)
            category = _categories(ground_truth, chunk)
            boxes, sizes = _extents(ground_truth, chunk, image, category, iou_type, area)
            columns.append((image, chunk.category_id, category, chunk.score.astype(np.float64), sizes))
            if iou_type == "segm":
                work = mask_pairs(ground_truth, chunk, image, category, all_classes)
            else:
                work = box_pairs(ground_truth, boxes, image, category, all_classes)
            for lo in range(0, len(image), PIECE):
                pending.append((chunk.first, pool.submit(work, lo, min(lo + PIECE, len(image)))))
            collect(leave=4 * threads)  # the next chunk is read meanwhile; no more than this one waits in memory
            if progress:
                progress(source.done_bytes, source.total_bytes)
        collect(leave=0)
    image, category_id, category, score, sizes = _joined(columns, (np.int32, np.int64, np.int32, float, float))
    detection, truth, iou = _joined(pairs, (np.int32, np.int32, float))
    unknown = category < 0
    if unknown.any():
        extra = np.unique(category_id[unknown], return_inverse=True)[1]
        category[unknown] = len(ground_truth.category_ids) + extra.ravel()
    return Overlaps(
        ground_truth, iou_type, image, category, score, sizes, detection, truth, iou, all_classes=all_classes
    )


def _joined(parts: list[tuple[np.ndarray, ...]], dtypes: tuple[Any, ...]) -> list[np.ndarray]:
    """Parts one after the other, column by column; each part is let go as soon as it is joined."""
    joined = []
    for k, dtype in enumerate(dtypes):
        joined.append(np.concatenate([np.zeros(0, dtype), *(part[k] for part in parts)]))
        parts[:] = [(*part[:k], None, *part[k + 1 :]) for part in parts]
    return joined


def _check_inputs(ground_truth: GroundTruth, source: DetectionSource, iou_type: str, all_classes: bool) -> None:
    if iou_type == "segm" and (ground_truth.mask_area < 0).any():
        entry = int(ground_truth.position[np.argmax(ground_truth.mask_area < 0)])
        raise UserError(
            f"{ground_truth.name}: annotation {entry} has no segmentation; masks cannot be scored, use iou_type bbox."
        )
    if iou_type == "segm" and all_classes and source.policy != "all":
        raise UserError(
            f"{source.name} holds masks of judged classes only (policy 'verified'), and TIDE needs all of them: "
            "write it with policy 'all'."
        )


def _images(ground_truth: GroundTruth, chunk: Detections) -> np.ndarray:
    """Index of each detection's image, int32 (n,)."""
    ids = ground_truth.image_ids
    image = np.minimum(np.searchsorted(ids, chunk.image_id), len(ids) - 1).astype(np.int32)
    strange = ids[image] != chunk.image_id
    if strange.any():
        i = int(np.argmax(strange))
        raise UserError(
            f"{chunk.name}: detection {chunk.first + i} has image_id {chunk.image_id[i]}, which {ground_truth.name} "
            "does not know; score it against the annotations it was made for."
        )
    return image


def _categories(ground_truth: GroundTruth, chunk: Detections) -> np.ndarray:
    """Index of each detection's category, -1 where the annotations do not know it, int32 (n,)."""
    ids = ground_truth.category_ids
    category = np.minimum(np.searchsorted(ids, chunk.category_id), len(ids) - 1).astype(np.int32)
    category[ids[category] != chunk.category_id] = -1
    return category


def _extents(
    ground_truth: GroundTruth, chunk: Detections, image: np.ndarray, category: np.ndarray, iou_type: str, area: str
) -> tuple[np.ndarray | None, np.ndarray]:
    """Boxes for box IoUs, float64 (n, 4) or None, and every detection's area in square pixels, float64 (n,)."""
    masked = chunk.mask_area is not None
    if masked:
        wrong = (chunk.mask_area >= 0) & (chunk.size != ground_truth.image_sizes[image]).any(axis=1)
        if wrong.any():
            i = int(np.argmax(wrong))
            height, width = ground_truth.image_sizes[image[i]]
            raise UserError(
                f"{chunk.name}: detection {chunk.first + i} has a mask of size {chunk.size[i].tolist()}, but image "
                f"{chunk.image_id[i]} is [{height}, {width}]; write masks at the size of the original image."
            )
    if iou_type == "segm":
        judged = (category >= 0) & ground_truth.verified[image, category] if chunk.policy == "verified" else True
        missing = (chunk.mask_area < 0) & judged if masked else np.ones(len(image), bool)
        if missing.any():
            raise UserError(
                f"{chunk.name}: detection {chunk.first + int(np.argmax(missing))} has no segmentation; "
                "give masks, or score boxes with iou_type bbox."
            )
    if iou_type == "segm" and area == "mask":
        return None, np.where(chunk.mask_area < 0, np.nan, chunk.mask_area)
    boxes = np.full((len(image), 4), np.nan) if chunk.box is None else np.asarray(chunk.box, float)
    areas = boxes[:, 2] * boxes[:, 3]
    bare = np.isnan(boxes[:, 0])
    if bare.any() and masked:  # a mask without a box: the mask's own box, but the mask's area, as the official tools do
        instead = bare & (chunk.mask_area >= 0)
        boxes = np.where(instead[:, None], chunk.tight, boxes)
        areas = np.where(instead, chunk.mask_area, areas)
        bare &= ~instead
    if bare.any():
        raise UserError(
            f"{chunk.name}: detection {chunk.first + int(np.argmax(bare))} has neither a bbox nor a mask; add its bbox."
        )
    return boxes, areas
