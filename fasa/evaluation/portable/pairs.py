"""The pairs of detections and ground truth that overlap: see ``fasa.evaluation.geometry.overlaps``."""

from __future__ import annotations

import numpy as np

from fasa.evaluation.portable.compiled import compiled
from fasa.evaluation.portable.rle import decode, intersection

NEVER = 2.0  # no two shapes overlap as much


@compiled
def _floor(same_class, crowd, all_classes, match_iou, background_iou):
    """Lowest IoU that a pair is kept from."""
    if crowd or not all_classes:
        return match_iou if same_class else NEVER
    return background_iou


@compiled
def _grown(array):
    larger = np.empty(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger


@compiled
def _with_room(pairs, detections, truths, ious):
    """The three columns, larger where they are full of ``pairs``."""
    if pairs < len(ious):
        return detections, truths, ious
    return _grown(detections), _grown(truths), _grown(ious)


@compiled
def mask_pairs(
    lo, hi, image, category, area, tight, counts, counts_start,
    image_start, truth_category, crowd, truth_area, truth_tight, truth_runs, run_start, all_classes,
    match_iou, background_iou,
):  # fmt: skip
    """Detection, truth and IoU of each pair of masks."""
    detections, truths, ious = np.empty(1024, np.int64), np.empty(1024, np.int32), np.empty(1024, np.float64)
    pairs = 0
    runs = np.empty(1024, np.uint32)
    for d in range(lo, hi):
        if area[d] <= 0:  # an empty mask overlaps nothing; -1: not stored
            continue
        decoded = 0
        x, y, w, h = tight[d, 0], tight[d, 1], tight[d, 2], tight[d, 3]
        for g in range(image_start[image[d]], image_start[image[d] + 1]):
            floor = _floor(category[d] == truth_category[g], crowd[g], all_classes, match_iou, background_iou)
            if floor == NEVER:
                continue
            across = min(x + w, truth_tight[g, 0] + truth_tight[g, 2]) - max(x, truth_tight[g, 0])
            down = min(y + h, truth_tight[g, 1] + truth_tight[g, 3]) - max(y, truth_tight[g, 1])
            if across <= 0 or down <= 0:
                continue
            most = min(min(area[d], truth_area[g]), np.int64(across) * down)
            union = area[d] if crowd[g] else area[d] + truth_area[g] - most
            if most < (floor - 1e-6) * union:  # the slack: rounding must discard no pair
                continue
            if not decoded:
                length = counts_start[d + 1] - counts_start[d]
                if length > len(runs):
                    runs = np.empty(2 * length, np.uint32)
                decoded = decode(counts, counts_start[d], counts_start[d + 1], runs)
            of_truth = truth_runs[run_start[g] : run_start[g + 1]]
            shared = intersection(runs, decoded, of_truth, len(of_truth))
            union = area[d] if crowd[g] else area[d] + truth_area[g] - shared
            iou = float(shared) / float(union)
            if iou >= floor:
                detections, truths, ious = _with_room(pairs, detections, truths, ious)
                detections[pairs], truths[pairs], ious[pairs] = d, g, iou
                pairs += 1
    return detections[:pairs], truths[:pairs], ious[:pairs]


@compiled
def box_pairs(
    lo, hi, image, category, box, image_start, truth_category, crowd, truth_box, all_classes, match_iou, background_iou
):  # fmt: skip
    """Detection, truth and IoU of each pair of boxes."""
    detections, truths, ious = np.empty(1024, np.int64), np.empty(1024, np.int32), np.empty(1024, np.float64)
    pairs = 0
    for d in range(lo, hi):
        x, y, w, h = box[d, 0], box[d, 1], box[d, 2], box[d, 3]
        for g in range(image_start[image[d]], image_start[image[d] + 1]):
            floor = _floor(category[d] == truth_category[g], crowd[g], all_classes, match_iou, background_iou)
            if floor == NEVER:
                continue
            across = min(w + x, truth_box[g, 2] + truth_box[g, 0]) - max(x, truth_box[g, 0])
            if across <= 0:
                continue
            down = min(h + y, truth_box[g, 3] + truth_box[g, 1]) - max(y, truth_box[g, 1])
            if down <= 0:
                continue
            shared = across * down
            union = w * h if crowd[g] else w * h + truth_box[g, 2] * truth_box[g, 3] - shared
            iou = shared / union
            if iou >= floor:
                detections, truths, ious = _with_room(pairs, detections, truths, ious)
                detections[pairs], truths[pairs], ious[pairs] = d, g, iou
                pairs += 1
    return detections[:pairs], truths[:pairs], ious[:pairs]


@compiled
def locate(ids, wanted, rows):
    """Row of each wanted id among the ascending ``ids``, -1 where there is none."""
    for i in range(len(wanted)):
        row = np.searchsorted(ids, wanted[i])
        rows[i] = row if row < len(ids) and ids[row] == wanted[i] else -1
