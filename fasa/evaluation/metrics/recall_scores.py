"""The score from which on a class is found to each recall, as pycocotools' ``eval["scores"]``."""

from __future__ import annotations

import numpy as np

from fasa.evaluation.codes import COUNTED
from fasa.evaluation.metrics.average_precision import Ranking
from fasa.evaluation.metrics.matching import Matches


def recall_scores(matches: Matches, ranking: Ranking, recalls: np.ndarray) -> np.ndarray:
    """Score (T, R, K, A) of the detection that reaches each of ``recalls`` (R,), ascending.

    0 where the recall is not reached, -1 where a group has no truth that counts; at recall 0 the best score of all.
    """
    groups, thresholds = len(ranking.detection_start) - 1, matches.outcome.shape[2]
    found = np.full((thresholds, len(recalls), groups, ranking.areas), -1.0)
    for k in range(groups):
        rows = ranking.truth[ranking.truth_start[k] : ranking.truth_start[k + 1]]
        truths = np.count_nonzero(~matches.truth_ignored[rows], axis=0)
        if not truths.any():
            continue
        order = ranking.detection[ranking.detection_start[k] : ranking.detection_start[k + 1]]
        score, paired = matches.overlaps.score[order], matches.outcome_row[order]
        places = np.flatnonzero(paired >= 0)
        true = matches.outcome[paired[places]] == COUNTED
        for a in np.flatnonzero(truths):
            for t in range(thresholds):
                found[t, :, k, a] = _scores(score, places[true[:, a, t]], int(truths[a]), recalls)
    return found


def _scores(score: np.ndarray, true: np.ndarray, truths: int, recalls: np.ndarray) -> np.ndarray:
    """Score (R,) at each recall; ``true``: places in ``score`` (n,) of the true positives, best first."""
    needed = np.searchsorted(np.arange(len(true) + 1) / truths, recalls, side="left")  # true positives for each recall
    at = np.append(true, len(score))[np.minimum(needed - 1, len(true))]
    return np.append(score, 0.0)[np.where(needed == 0, 0, at)]
