"""TIDE (Bolya et al., ECCV 2020): by how much AP50 rises without each kind of error. The figures of tidecv 1.0.1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fasa.evaluation.arrays import by_score, group, top
from fasa.evaluation.codes import (
    ABSENT,
    BKG,
    BOTH,
    CLS,
    DUPE,
    FALSE,
    FATES,
    IGNORED,
    KIND,
    LAST,
    LOC,
    MATCHED,
    REPAIRED,
    REPAIRS,
    TRUE,
)
from fasa.evaluation.geometry.overlaps import Overlaps
from fasa.evaluation.kernels import kernels
from fasa.evaluation.metrics.matching import check_overlaps
from fasa.evaluation.metrics.tide_matching import fates

DETECTIONS_PER_IMAGE = {"lvis": 300, "coco": 100}
KINDS = {"cls": CLS, "loc": LOC, "both": BOTH, "dupe": DUPE, "bkg": BKG}

ByClass = tuple[np.ndarray, np.ndarray, np.ndarray]  # fates and scores, class by class, and where each class begins


@dataclass(frozen=True)
class Tide:
    """AP50 and what the errors cost of it, in points (0 to 100), averaged as tidecv does and over classes with truth.

    tidecv averages over all classes with a detection or a truth, and those without truth count as 0: its figures shrink
    with every class that a model predicts in vain, and compare only at equal ``classes``.
    """

    ap: float  # AP50
    ap_gt_classes: float
    errors: dict[str, float]  # gain without cls, loc, both, dupe, bkg, miss; each by itself; at least 0
    errors_gt_classes: dict[str, float]
    special: dict[str, float]  # false_positive, false_negative: gain without all false positives, without all misses
    special_gt_classes: dict[str, float]
    counts: dict[str, int]  # errors of each kind, those of ignored detections with them
    classes: int  # with a truth or a detection that is not ignored
    classes_with_truth: int


def tide(overlaps: Overlaps) -> Tide:
    """Errors of the best 300 (LVIS) or 100 (COCO) detections of every image.

    It differs from tidecv where that fails (no class is left to average over: AP is 0 here; all claims to a truth score
    -1 or less: the best one counts), and in LVIS in two details as lvis-api has them: annotations with an area of 0 or
    less are no truth, and categories that the annotations do not list are nowhere "not exhaustive".

    Raises:
        ValueError: ``overlaps`` lacks the pairs of different classes.
        UserError: it is something else.
    """
    if not check_overlaps(overlaps).all_classes:
        raise ValueError("TIDE needs overlaps(..., all_classes=True)")
    order, walk = _orders(overlaps)
    found = fates(overlaps, walk)
    kinds = np.bincount(found.fate[walk] & KIND, minlength=KIND)
    del walk

    truth = overlaps.ground_truth
    classes = max(len(truth.category_ids), int(overlaps.category.max(initial=-1)) + 1)
    unfound = ~truth.crowd & ~found.taken
    missed = unfound & ~found.claimed
    truths, unfound_truths, missed_truths = (
        np.bincount(truth.category[some], minlength=classes) for some in (~truth.crowd, unfound, missed)
    )

    def average(
        ranking: tuple[np.ndarray, np.ndarray, np.ndarray],
        role: np.ndarray,
        less: np.ndarray | int = 0,
        errors_first: bool = True,
    ) -> tuple[float, int, float]:
        """AP50 over the classes that still have a detection or truth, their number, AP50 over those with truth."""
        ap, points = _class_ap(*ranking, truths - less, role, errors_first)
        alive = (points > 0) | (truths - less > 0)
        return _mean(ap[alive]), int(alive.sum()), _mean(ap[truths > 0])

    # Only the repair of class errors moves detections to other classes.
    ranking = _rank(overlaps, order, found.repaired_category, classes, found.fate)
    without = {"cls": average(ranking, _roles(repair=CLS))}
    ranking = _rank(overlaps, order, overlaps.category, classes, found.fate)
    base, counted, base_gt = average(ranking, _roles(), errors_first=False)
    without |= {name: average(ranking, _roles(repair=kind)) for name, kind in KINDS.items() if kind != CLS}
    without["miss"] = average(ranking, _roles(), less=missed_truths)
    special = {
        "false_positive": average(ranking, _roles(false=LAST)),
        "false_negative": average(ranking, _roles(), less=unfound_truths),
    }
    return Tide(
        ap=base,
        ap_gt_classes=base_gt,
        errors={name: max(ap - base, 0.0) for name, (ap, _, _) in without.items()},
        errors_gt_classes={name: max(ap_gt - base_gt, 0.0) for name, (_, _, ap_gt) in without.items()},
        special={name: ap - base for name, (ap, _, _) in special.items()},
        special_gt_classes={name: ap_gt - base_gt for name, (_, _, ap_gt) in special.items()},
        counts={name: int(kinds[kind]) for name, kind in KINDS.items()} | {"miss": int(missed.sum())},
        classes=counted,
        classes_with_truth=int((truths > 0).sum()),
    )


def _orders(overlaps: Overlaps) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the detections within their image's limit: best score first, and image by image, best score first.

    Of equal scores the first is that of the image that the annotations list first, then the first in the file.
    """
    truth, images = overlaps.ground_truth, len(overlaps.ground_truth.image_ids)
    position = truth.image_positions[overlaps.image]
    order = group(np.arange(len(position)), position, images)[0]
    order = order[by_score(overlaps.score[order])]
    order = order[top(lambda: order, position, images, DETECTIONS_PER_IMAGE[truth.kind])[order]]
    return order, group(order, position, images)[0]


def _rank(overlaps: Overlaps, order: np.ndarray, category: np.ndarray, classes: int, fate: np.ndarray) -> ByClass:
    """The rows ``order`` (best first) split by ``category`` (n,)."""
    rows, start = group(order, category, classes)
    return fate[rows], overlaps.score[rows], start


def _roles(repair: int = -1, false: int = FALSE) -> np.ndarray:
    """What a detection of each fate is, uint8 (FATES,), once errors of the kind ``repair`` are repaired or removed."""
    roles = np.full(FATES, false, np.uint8)
    for fate in range(FATES):
        kind = fate & KIND
        if kind == MATCHED:
            roles[fate] = TRUE
        elif kind == repair:
            roles[fate] = REPAIRED if fate & REPAIRS else ABSENT
        elif fate & IGNORED:
            roles[fate] = ABSENT
    return roles


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _class_ap(
    fate: np.ndarray, score: np.ndarray, start: np.ndarray, truths: np.ndarray, role: np.ndarray, errors_first: bool
) -> tuple[np.ndarray, np.ndarray]:
    """AP in points (classes,), 0 for a class without truth, and the number of detections in its curve (classes,)."""
    ap, points = np.zeros(len(truths)), np.zeros(len(truths), np.int64)
    kernels.tide_curves(fate, score, start, truths, role, errors_first, ap, points)
    return ap, points
