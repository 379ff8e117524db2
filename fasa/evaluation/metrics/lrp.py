"""Optimal Localisation Recall Precision (Oksuz et al., ECCV 2018, TPAMI 2021): an error, lower is better.

LRP of the detections from a score on, at IoU 0.5: (sum of (1 - IoU) / 0.5 over true positives + FP + FN) / (TP + FP +
FN). oLRP is a class's lowest, over all scores. The figures of the authors' code (LRP-Error), to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.arrays import group
from fasa.evaluation.geometry.overlaps import MATCH_IOU
from fasa.evaluation.io.ground_truth import FREQUENCIES
from fasa.evaluation.kernels import kernels
from fasa.evaluation.metrics.average_precision import Summary
from fasa.evaluation.metrics.matching import Matches

PARTS = ("", "_loc", "_fp", "_fn")  # oLRP itself, and its components: 1 - IoU, 1 - precision, 1 - recall


@dataclass(frozen=True)
class OptimalLRP:
    """oLRP, oLRP_loc, oLRP_fp, oLRP_fn as fractions, in LVIS also of rare classes (oLRPr, oLRPr_loc, …) and so on.

    A class without ground truth is in no mean, one without a true positive has oLRP 1 and is in no mean of loc and fp.
    """

    summary: Summary
    per_class: dict[str, np.ndarray]  # the same four and "oLRP_score", where oLRP is reached, (K,); NaN: there is none


def optimal_lrp(matches: Matches) -> OptimalLRP:
    """LRP of the detections that ``matches`` has, of all sizes."""
    overlaps = matches.overlaps
    truth, classes = overlaps.ground_truth, len(overlaps.ground_truth.category_ids)
    used = (matches.outcome_row[overlaps.detection] >= 0) & (overlaps.iou >= MATCH_IOU)
    if overlaps.all_classes:
        used &= overlaps.category[overlaps.detection] == truth.category[overlaps.truth]
    pairs = np.bincount(matches.outcome_row[overlaps.detection[used]], minlength=len(matches.outcome))
    iou = np.zeros(len(matches.outcome))
    kernels.matched_iou(
        matches.order, matches.outcome_row, matches.outcome, np.append(0, np.cumsum(pairs)), overlaps.truth[used],
        overlaps.iou[used], matches.truth_ignored, iou,
    )  # fmt: skip
    columns = np.full((5, classes), np.nan)
    truths = np.bincount(truth.category[~matches.truth_ignored[:, 0]], minlength=classes)
    kernels.optima(
        *group(matches.order, overlaps.category, classes), matches.outcome_row, matches.outcome,
        matches.ignored_unmatched, overlaps.score, iou, truths, MATCH_IOU, columns,
    )  # fmt: skip
    per_class = dict(zip([*(f"oLRP{part}" for part in PARTS), "oLRP_score"], columns, strict=True))
    groups = {"": np.ones(classes, bool)}
    if truth.kind == "lvis":
        groups |= {letter: truth.frequencies == letter for letter in FREQUENCIES}
    summary = {
        f"oLRP{letter}{part}": _mean(per_class[f"oLRP{part}"][some])
        for letter, some in groups.items()
        for part in PARTS
    }
    return OptimalLRP(summary, per_class)


def refuse_pool(protocol: str) -> None:
    """Raise a UserError for AP-Pool, which ranks all classes together."""
    if protocol == "pool":
        raise UserError("AP-Pool has no figures by class, and LRP is of classes: use protocol 'standard' or 'fixed'.")


def _mean(values: np.ndarray) -> float | None:
    present = values[~np.isnan(values)]
    return float(np.mean(present)) if len(present) else None
