"""What became of each detection and object at IoU 0.5, kept small: only what can put an image on the page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fasa.evaluation import Matches
from fasa.evaluation.codes import COUNTED, UNMATCHED


@dataclass(frozen=True)
class Verdicts:
    """The hits and the false positives of high score, best first; ``missed`` and ``false`` count by image.

    A false positive is of high score where it has at least the median score of the file's hits, ``high``.
    """

    high: float  # -inf without a hit: then every false positive counts
    detection: np.ndarray  # int64 (n,): rows of the file's detections
    image: np.ndarray  # int32 (n,), index
    category: np.ndarray  # int32 (n,), index
    score: np.ndarray  # float64 (n,)
    hit: np.ndarray  # bool (n,)
    pair_detection: np.ndarray  # int32 (P,): the pairs of hits with objects that count ...
    pair_truth: np.ndarray  # int32 (P,): ... their rows ...
    pair_iou: np.ndarray  # float64 (P,): ... and IoU, 0.5 or more
    ignored: np.ndarray  # bool (G,): objects that do not count
    missed: np.ndarray  # int64 (N,): objects that count and were not found
    false: np.ndarray  # int64 (N,): false positives of high score

    @property
    def cost(self) -> np.ndarray:
        """Missed objects and false positives of high score together, int64 (N,)."""
        return self.missed + self.false


def judge(matches: Matches) -> Verdicts:
    """The verdicts of ``matches`` at IoU 0.5, objects of all sizes."""
    found, truth = matches.overlaps, matches.overlaps.ground_truth
    order = matches.order
    outcome = np.append(matches.outcome[:, 0, 0], np.uint8(UNMATCHED))[matches.outcome_row[order]]
    hit = outcome == COUNTED
    false = (outcome == UNMATCHED) & ~matches.ignored_unmatched[order, 0]
    score = found.score[order]
    high = float(np.median(score[hit])) if hit.any() else -np.inf
    false &= score >= high
    kept = order[hit | false]
    counts = ~matches.truth_ignored[:, 0]
    is_hit = np.zeros(len(found.score), bool)
    is_hit[order[hit]] = True
    pairs = is_hit[found.detection] & counts[found.truth] & (found.iou >= 0.5)
    pairs &= found.category[found.detection] == truth.category[found.truth]
    images = len(truth.image_ids)
    return Verdicts(
        high,
        kept,
        found.image[kept],
        found.category[kept],
        found.score[kept],
        is_hit[kept],
        found.detection[pairs],
        found.truth[pairs],
        found.iou[pairs],
        ~counts,
        np.bincount(truth.image[counts], minlength=images) - np.bincount(found.image[order[hit]], minlength=images),
        np.bincount(found.image[order[false]], minlength=images),
    )


def found_truths(verdicts: Verdicts, image: int) -> set[int]:
    """Rows of the objects of an image that its hits took: each the free one of highest IoU, of equals the last."""
    taken: set[int] = set()
    for detection in verdicts.detection[(verdicts.image == image) & verdicts.hit]:
        at = verdicts.pair_detection == detection
        free = [
            (iou, row)
            for iou, row in zip(verdicts.pair_iou[at].tolist(), verdicts.pair_truth[at].tolist(), strict=True)
            if row not in taken
        ]
        taken.add(max(free)[1])
    return taken
