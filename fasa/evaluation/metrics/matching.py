"""Which detections a protocol evaluates, and which ground truth each takes: LVIS's and COCO's greedy matching."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.arrays import by_score, group, top
from fasa.evaluation.codes import UNMATCHED
from fasa.evaluation.geometry.overlaps import Overlaps
from fasa.evaluation.io.ground_truth import GroundTruth
from fasa.evaluation.kernels import kernels

PROTOCOLS = ("standard", "fixed", "pool")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREA_RANGES = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])  # all, small, medium, large
IMAGE_LIMIT = 300  # LVIS: detections of an image, over all classes
CLASS_LIMIT = 10_000  # AP-Fixed, AP-Pool: detections of a class, over all images
COCO_LIMITS = (1, 10, 100)  # COCO: detections of a class in an image


@dataclass(frozen=True)
class Rules:
    """What decides a matching; the defaults are the official tools'."""

    limit: str  # "image", "class" or "coco": see ``limit_of``
    most: int | None  # detections that the limit leaves of each; None: all
    thresholds: np.ndarray = field(default_factory=lambda: IOU_THRESHOLDS)  # (T,), IoU
    area_ranges: np.ndarray = field(default_factory=lambda: AREA_RANGES)  # (A, 2), square pixels, ends included


@dataclass(frozen=True)
class Matches:
    """What average precision is computed from: the detections that take part, best first, and what became of each."""

    overlaps: Overlaps
    limit: str  # "image", "class" or "coco": see ``limit_of``
    order: np.ndarray  # int64 (n,): those that take part, by score, then image, then place in the file
    rank_in_image: np.ndarray  # int32 (all,): COCO: place of a detection among its class in its image; else empty
    outcome_row: np.ndarray  # int32 (all,): row of a detection in `outcome`, -1 where it overlaps nothing
    outcome: np.ndarray  # uint8 (m, A, T): UNMATCHED, COUNTED or IGNORED_TRUTH
    ignored_unmatched: np.ndarray  # bool (all, A): outside the area range, or a class that is not exhaustive
    truth_ignored: np.ndarray  # bool (G, A)


def limit_of(kind: str, protocol: str) -> str:
    """What limits the detections: those of an "image", of a "class", or of a class in an image ("coco").

    Protocols with the same limit can share their ``Matches``.
    """
    return "coco" if kind == "coco" else {"standard": "image", "fixed": "class", "pool": "class"}[protocol]


def check_protocol(truth: GroundTruth, protocol: str) -> None:
    """Raise a UserError if the protocol is unknown, or LVIS's and the annotations are not federated."""
    if protocol not in PROTOCOLS:
        raise UserError(f"there is no protocol '{protocol}'; known: {', '.join(PROTOCOLS)}.")
    if protocol != "standard" and truth.kind != "lvis":
        raise UserError(
            f"{truth.name} has no negative categories: protocol '{protocol}' is for LVIS annotations; use 'standard'."
        )


def short_classes(overlaps: Overlaps) -> int:
    """How many classes with objects have fewer detections than AP-Fixed ranks."""
    classes = len(overlaps.ground_truth.category_ids)
    there = np.bincount(overlaps.category, minlength=classes)[:classes]
    wanted = np.bincount(overlaps.ground_truth.category[~overlaps.ground_truth.ignore], minlength=classes) > 0
    return int((wanted & (there < CLASS_LIMIT)).sum())


def check_overlaps(overlaps: Overlaps) -> Overlaps:
    """``overlaps``; raises a UserError if they are something else, such as a path."""
    if not isinstance(overlaps, Overlaps):
        raise UserError(
            f"a {type(overlaps).__name__} is given where overlaps(annotations, detections) belong: call that first, or "
            "average_precision(annotations, detections) in place of both."
        )
    return overlaps


def match(overlaps: Overlaps, protocol: str = "standard") -> Matches:
    """Select the detections of a protocol and match them with ground truth, see ``match_by``.

    Raises:
        UserError: an unknown protocol, or an LVIS protocol on annotations that are not federated.
    """
    check_protocol(check_overlaps(overlaps).ground_truth, protocol)
    limit = limit_of(overlaps.ground_truth.kind, protocol)
    most = {"image": IMAGE_LIMIT, "class": CLASS_LIMIT, "coco": COCO_LIMITS[-1]}[limit]
    return match_by(overlaps, Rules(limit, most))


def match_by(overlaps: Overlaps, rules: Rules) -> Matches:
    """Select detections by ``rules`` and match them with ground truth.

    A detection takes, at every threshold and area range by itself, the free counted truth of highest IoU, or else the
    free ignored one; of equal IoUs the one that is later in the file (lvis-api and pycocotools). Both ends of an area
    range belong to it. ``overlaps`` must hold the pairs from the lowest threshold on.
    """
    truth = overlaps.ground_truth
    part, rank_in_image = _selection(overlaps, rules)
    rows = np.flatnonzero(part)
    order = _best_first(overlaps, rows)
    area, low, high = overlaps.area[rows, None], rules.area_ranges[:, 0], rules.area_ranges[:, 1]
    ignored = (area < low) | (area > high)
    if truth.kind == "lvis":
        ignored |= truth.not_exhaustive[overlaps.image[rows], overlaps.category[rows]][:, None]
    ignored_unmatched = np.zeros((len(part), ignored.shape[1]), bool)
    ignored_unmatched[rows] = ignored
    truth_ignored = truth.ignore[:, None] | (truth.area[:, None] < low) | (truth.area[:, None] > high)

    usable = part[overlaps.detection] & (overlaps.iou >= rules.thresholds.min())
    if overlaps.all_classes:
        usable &= overlaps.category[overlaps.detection] == truth.category[overlaps.truth]
    detection = overlaps.detection[usable]
    first = np.flatnonzero(np.diff(detection, prepend=-1))  # they ascend
    paired = detection[first]
    outcome_row = np.full(len(overlaps.score), -1, np.int32)
    outcome_row[paired] = np.arange(len(paired))
    outcome = np.full((len(paired), *truth_ignored.shape[1:], len(rules.thresholds)), UNMATCHED, np.uint8)
    kernels.match(
        order[outcome_row[order] >= 0], outcome_row, np.append(first, len(detection)), overlaps.truth[usable],
        overlaps.iou[usable], truth_ignored, truth.crowd, np.minimum(rules.thresholds, 1 - 1e-10), outcome,
    )  # fmt: skip
    return Matches(overlaps, rules.limit, order, rank_in_image, outcome_row, outcome, ignored_unmatched, truth_ignored)


def _best_first(overlaps: Overlaps, rows: np.ndarray) -> np.ndarray:
    """``rows`` (ascending) by score; those of equal score by image, and only then by place in the file."""
    if (np.diff(overlaps.image) < 0).any():
        rows = group(rows, overlaps.image, len(overlaps.ground_truth.image_ids))[0]
    return rows[by_score(overlaps.score[rows])]


def _selection(overlaps: Overlaps, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """bool (n,): whether a detection takes part; COCO: also its place among its class in its image, int32 (n,)."""
    truth = overlaps.ground_truth
    image, category, images, classes = overlaps.image, overlaps.category, len(truth.image_ids), len(truth.category_ids)
    known, everything = category < classes, np.arange(len(category))
    most = len(category) if rules.most is None else rules.most
    kinds = int(category.max(initial=classes - 1)) + 1  # with those that the annotations lack
    if rules.limit == "coco":
        grouped = group(group(_best_first(overlaps, everything), category, kinds)[0], image, images)[0]
        starts = np.diff(category[grouped], prepend=-1).astype(bool) | np.diff(image[grouped], prepend=-1).astype(bool)
        rank_in_image = np.empty(len(category), np.int32)
        rank_in_image[grouped] = everything - np.maximum.accumulate(np.where(starts, everything, 0))
        return known & (rank_in_image < most), rank_in_image
    # The limit comes first: detections of unknown or unjudged classes, and empty ones, use it up and leave afterwards.
    limited, groups = (image, images) if rules.limit == "image" else (category, kinds)
    # equal scores at the limit: the first in the file stays
    part = known & top(lambda: by_score(overlaps.score), limited, groups, most)
    part[part] = truth.verified[image[part], category[part]]
    part &= (overlaps.area > 0) & (overlaps.area < np.inf)
    return part, np.zeros(0, np.int32)
