"""The pairs of detections and ground truth that overlap, found in one pass over the detections; no mask is kept.

An IoU is bounded first, by areas and tight boxes, and computed only where the bound allows a pair; then exactly as
pycocotools computes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.arrays import cores
from fasa.evaluation.geometry.boundary import boundary_iou
from fasa.evaluation.io.detection_columns import Detections, Masks
from fasa.evaluation.io.detections import DetectionSource
from fasa.evaluation.io.ground_truth import GroundTruth
from fasa.evaluation.io.masks import NOT_READ
from fasa.evaluation.kernels import kernels

IOU_TYPES = ("segm", "bbox", "boundary")
AREAS = ("mask", "box")
MATCH_IOU = 0.5  # the lowest threshold at which any protocol matches
BACKGROUND_IOU = 0.1  # TIDE's t_b: what overlaps less is background
BEYOND = 0.02  # of a side of the image: a box that ends farther outside is no rounding
PIECE = 16_384  # detections that one thread takes at a time

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # detection (row in the chunk), truth (row), IoU


@dataclass(frozen=True)
class Overlaps:
    """The columns of all detections, in file order, and their pairs with ground truth.

    The IoU with a crowd (COCO) is the intersection over the detection's own area, as in pycocotools, and a crowd is
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
    unknown_ids: tuple[int, ...] = ()  # the category ids that the annotations lack, ascending
    boxes_beyond: int = 0  # boxes that were asked for and end clearly outside their image
    left_out: int = 0  # detections of images outside the ground truth, which is a subset


def find_overlaps(
    ground_truth: GroundTruth,
    source: DetectionSource,
    iou_type: str = "segm",
    all_classes: bool = False,
    area: str = "mask",
    progress: Callable[[int, int], None] | None = None,
) -> Overlaps:
    """Read ``source`` once, chunk by chunk, and pair its detections with ``ground_truth``.

    Arguments and errors as ``fasa.evaluation.overlaps``.
    """
    if iou_type not in IOU_TYPES or area not in AREAS:
        raise UserError(f"iou_type is one of {', '.join(IOU_TYPES)} and area one of {', '.join(AREAS)}.")
    _check_inputs(ground_truth, source, iou_type, all_classes)
    threads, masked = cores(), iou_type != "bbox"
    beyond = left_out = rows = 0
    columns: list[tuple[np.ndarray, ...]] = []
    pairs: list[tuple[np.ndarray, ...]] = []
    pending: deque[tuple[int, Future[Pairs]]] = deque()

    def collect(leave: int) -> None:
        while len(pending) > leave:
            first, future = pending.popleft()
            detection, truth, iou = future.result()
            pairs.append(((detection + first).astype(np.int32), truth, iou))

    with ThreadPoolExecutor(threads) as pool:
        for chunk in source.chunks(masks=masked):
            image, there = _images(ground_truth, chunk)
            category = _categories(ground_truth, chunk)
            masks = _masks(ground_truth, chunk, image, category, there, required=masked)
            boxes, areas = _boxes_and_areas(chunk, masks, by_mask=masked and area == "mask")
            if not there.all():
                left_out += int((~there).sum())
                chunk, image, category, areas = chunk.select(there), image[there], category[there], areas[there]
                masks, boxes = chunk.masks, boxes[there] if len(boxes) else boxes
            beyond += _beyond(boxes, ground_truth.image_sizes[image]) if len(boxes) else 0
            columns.append((image, chunk.category_id, category, chunk.score.astype(np.float64), areas))
            compared = masks if masked else None
            find = _pair_finder(ground_truth, image, category, boxes, compared, all_classes, iou_type == "boundary")
            for lo in range(0, len(image), PIECE):
                pending.append((rows, pool.submit(find, lo, min(lo + PIECE, len(image)))))
            rows += len(image)
            collect(leave=4 * threads)  # the next chunk is read meanwhile; no more than this one waits in memory
            if progress:
                progress(source.done_bytes, source.total_bytes)
        collect(leave=0)
    image, category_id, category, score, areas = _joined(columns, (np.int32, np.int64, np.int32, float, float))
    detection, truth, iou = _joined(pairs, (np.int32, np.int32, float))
    unknown = category < 0
    unknown_ids, extra = np.unique(category_id[unknown], return_inverse=True)
    category[unknown] = len(ground_truth.category_ids) + extra.ravel()
    return Overlaps(
        ground_truth, iou_type, image, category, score, areas, detection, truth, iou, all_classes,
        tuple(unknown_ids.tolist()), beyond, left_out,
    )  # fmt: skip


def _joined(parts: list[tuple[np.ndarray, ...]], dtypes: tuple[Any, ...]) -> list[np.ndarray]:
    """Parts one after the other, column by column; each part's column is released as soon as it is joined."""
    joined = []
    for k, dtype in enumerate(dtypes):
        nothing = np.zeros(0, dtype)
        joined.append(np.concatenate([nothing, *(part[k] for part in parts)]))
        parts[:] = [(*part[:k], nothing, *part[k + 1 :]) for part in parts]
    return joined


def _check_inputs(ground_truth: GroundTruth, source: DetectionSource, iou_type: str, all_classes: bool) -> None:
    if iou_type == "boundary" and all_classes:
        raise UserError("TIDE and thresholds below 0.5 know no boundaries: use iou_type segm or bbox.")
    masked = iou_type != "bbox"
    if masked and (ground_truth.mask_area == NOT_READ).any():
        raise UserError(f"{ground_truth.name} was loaded without masks: load it with them, or use iou_type bbox.")
    lacking = ground_truth.mask_area < 0 if masked else np.isnan(ground_truth.box).any(axis=1)
    if lacking.any():
        entry = int(ground_truth.position[np.argmax(lacking)])
        missing, what, other = ("segmentation", "masks", "bbox") if masked else ("bbox", "boxes", "segm")
        raise UserError(
            f"{ground_truth.name}: annotation {entry} has no {missing}; {what} cannot be scored, use iou_type {other}."
        )
    if iou_type == "segm" and all_classes and source.policy != "all":
        raise UserError(
            f"{source.name} has masks of judged classes only (policy 'verified'), and TIDE needs all masks: "
            "write it with policy 'all'."
        )


def _images(ground_truth: GroundTruth, chunk: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Index of each detection's image, int32 (n,), and whether the ground truth has it, bool (n,): a subset may not."""
    image = np.empty(len(chunk), np.int32)
    kernels.locate(ground_truth.image_ids, chunk.image_id, image)
    there = image >= 0
    if not there.all() and not ground_truth.subset:
        i = int(np.argmax(~there))
        raise UserError(
            f"{chunk.name}: detection {chunk.first + i} has image_id {chunk.image_id[i]}, which {ground_truth.name} "
            "does not list; score it against the annotations it was made for."
        )
    return image, there


def _categories(ground_truth: GroundTruth, chunk: Detections) -> np.ndarray:
    """Index of each detection's category, -1 where the annotations lack it, int32 (n,)."""
    category = np.empty(len(chunk), np.int32)
    kernels.locate(ground_truth.category_ids, chunk.category_id, category)
    return category


def _masks(
    ground_truth: GroundTruth,
    chunk: Detections,
    image: np.ndarray,
    category: np.ndarray,
    there: np.ndarray,
    required: bool,
) -> Masks | None:
    """The masks of a chunk, None if it has none; checked for their size and, if ``required``, that none is missing.

    If they are not required, those of detections with a box are not checked, and of images that are not ``there`` none.
    """
    masks = chunk.masks
    if masks is not None:
        sizes = ground_truth.image_sizes[image]
        judged = there & (masks.area >= 0) & (sizes > 0).all(axis=1)
        if not required and chunk.box is not None:
            judged &= np.isnan(chunk.box[:, 0])
        wrong = judged & (masks.size != sizes).any(axis=1)
        if wrong.any():
            i = int(np.argmax(wrong))
            height, width = sizes[i]
            raise UserError(
                f"{chunk.name}: detection {chunk.first + i} has a mask of size {masks.size[i].tolist()}, but image "
                f"{chunk.image_id[i]} is [{height}, {width}]; write masks at the size of the original image."
            )
    if required:
        missing = there.copy() if masks is None else there & (masks.area < 0)
        if masks is not None and chunk.policy == "verified":
            missing = missing & (category >= 0) & ground_truth.verified[image, category]
        if missing.any():
            raise UserError(
                f"{chunk.name}: detection {chunk.first + int(np.argmax(missing))} has no segmentation; "
                "give masks, or score boxes: --iou-type bbox, in Python iou_type='bbox'."
            )
    return masks


def _boxes_and_areas(chunk: Detections, masks: Masks | None, by_mask: bool) -> tuple[np.ndarray, np.ndarray]:
    """Boxes x, y, w, h, float64 (n, 4), none if ``by_mask``, and every detection's area in square pixels, (n,)."""
    if masks is not None and by_mask:
        return np.empty((0, 4)), np.where(masks.area < 0, np.nan, masks.area)
    boxes = np.full((len(chunk), 4), np.nan) if chunk.box is None else np.asarray(chunk.box, float)
    areas = boxes[:, 2] * boxes[:, 3]
    missing = np.isnan(boxes[:, 0])
    if missing.any() and masks is not None:  # no box: the mask's own box, but the mask's area, as in the official tools
        instead = missing & (masks.area >= 0)
        boxes = np.where(instead[:, None], masks.tight, boxes)
        areas = np.where(instead, masks.area, areas)
        missing &= ~instead
    if missing.any():
        place = chunk.first + int(np.argmax(missing))
        raise UserError(f"{chunk.name}: detection {place} has neither a bbox nor a mask; add its bbox.")
    return boxes, areas


def _beyond(boxes: np.ndarray, sizes: np.ndarray) -> int:
    """How many boxes end more than ``BEYOND`` of a side outside their image, where its size is known."""
    height, width = sizes[:, 0], sizes[:, 1]
    outside = (boxes[:, 0] + boxes[:, 2] > (1 + BEYOND) * width) | (boxes[:, 1] + boxes[:, 3] > (1 + BEYOND) * height)
    return int((outside & (sizes > 0).all(axis=1)).sum())


def _pair_finder(
    truth: GroundTruth,
    image: np.ndarray,
    category: np.ndarray,
    boxes: np.ndarray,
    masks: Masks | None,
    all_classes: bool,
    boundary: bool,
) -> Callable[[int, int], Pairs]:
    """A function of a range of detections that gives their pairs, by IoU of ``masks`` or, without them, of boxes.

    With ``boundary`` a pair's IoU is the smaller of its masks' and its boundaries'.
    """
    if masks is None:
        return lambda lo, hi: kernels.box_pairs(
            lo, hi, image, category, boxes, truth.image_start, truth.category, truth.crowd, truth.box, all_classes,
            MATCH_IOU, BACKGROUND_IOU,
        )  # fmt: skip

    def find(lo: int, hi: int) -> Pairs:
        return kernels.mask_pairs(
            lo, hi, image, category, masks.area, masks.tight, masks.counts, masks.counts_start,
            truth.image_start, truth.category, truth.crowd, truth.mask_area, truth.tight, truth.runs, truth.run_start,
            all_classes, MATCH_IOU, BACKGROUND_IOU,
        )  # fmt: skip

    if not boundary:
        return find

    def narrow(lo: int, hi: int) -> Pairs:
        detection, truth_row, iou = find(lo, hi)
        iou = boundary_iou(detection, truth_row, iou, image, masks, truth)
        kept = iou >= MATCH_IOU
        return detection[kept], truth_row[kept], iou[kept]

    return narrow
