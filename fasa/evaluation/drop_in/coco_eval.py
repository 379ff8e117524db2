"""``COCOeval`` under pycocotools' names: the same figures, to the last bit; for boxes and masks."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.drop_in.inputs import check_iou_type, read_ids, read_results, read_truth
from fasa.evaluation.drop_in.lvis_eval import AREA_LABELS
from fasa.evaluation.drop_in.one_class import CHOSEN, OneClassEntries, by_place, one_class
from fasa.evaluation.drop_in.request import (
    Request,
    columns,
    fractions,
    in_order,
    mean,
    overlaps_of,
    ranges,
    ranked,
    requested_tables,
    whole_numbers,
)
from fasa.evaluation.geometry.overlaps import BACKGROUND_IOU
from fasa.evaluation.metrics.average_precision import RECALLS
from fasa.evaluation.metrics.matching import AREA_RANGES, COCO_LIMITS, IOU_THRESHOLDS, Matches, Rules, match_by
from fasa.evaluation.metrics.recall_scores import recall_scores


class COCOParams:
    """The parameters of ``COCOeval``, with pycocotools' names and defaults."""

    def __init__(self, iouType: str = "segm") -> None:
        self.imgIds: Any = []
        self.catIds: Any = []
        self.iouThrs: Any = IOU_THRESHOLDS.copy()
        self.recThrs: Any = RECALLS.copy()
        self.maxDets: Any = list(COCO_LIMITS)
        self.areaRng: Any = AREA_RANGES.tolist()
        self.areaRngLbl = list(AREA_LABELS)
        self.useCats = 1
        self.iouType = iouType

    def request(self) -> Request:
        """The parameters, checked.

        Raises:
            UserError: the first that cannot be followed.
        """
        check_iou_type(self.iouType)
        classes = whole_numbers(self.catIds, "catIds")
        ascending = np.unique(classes)
        if not self.useCats and len(ascending) < len(classes):
            raise UserError("params.catIds names a class twice, which useCats = 0 would count twice: name it once.")
        limits = np.sort(whole_numbers(self.maxDets, "maxDets"))
        if limits[0] < 1:
            raise UserError(f"params.maxDets has {limits[0]}: give limits of 1 or more.")
        return Request(
            self.iouType,
            np.unique(whole_numbers(self.imgIds, "imgIds")),
            ascending if self.useCats else classes,  # whose order then decides between equals
            fractions(self.iouThrs, "iouThrs", BACKGROUND_IOU),
            fractions(self.recThrs, "recThrs", ascending=True),
            ranges(self.areaRng, self.areaRngLbl, "areaRng"),
            tuple(limits.tolist()),
            bool(self.useCats),
        )


class COCOeval:
    """COCO AP and AR, as ``pycocotools.cocoeval.COCOeval``; ``evalImgs`` and ``ious`` of each image are not kept.

    Args:
        cocoGt: a ``COCO`` of pycocotools, parsed annotations, a path or our ``GroundTruth``; may be set later.
        cocoDt: what ``COCO.loadRes`` gives, the list of entries, a path (also to our .npz); may be set later.
        iouType: "segm", "bbox", or "boundary" as in boundary-iou-api (Cheng et al. 2021); keypoints are refused.

    Raises:
        UserError: whatever is wrong with an input, in one sentence; EmptyResults, which is an IndexError, too.
    """

    def __init__(self, cocoGt: Any = None, cocoDt: Any = None, iouType: str = "segm") -> None:
        check_iou_type(iouType)
        self.cocoGt = read_truth(cocoGt, iouType, "coco") if isinstance(cocoGt, str | Path) else cocoGt
        self.cocoDt = cocoDt
        self.params = COCOParams(iouType)
        self.eval: dict[str, Any] = {}
        self.stats: Any = []
        self._matches: Matches | None = None
        self._request: Request | None = None
        if cocoGt is not None:
            self.params.imgIds, self.params.catIds = read_ids(self.cocoGt, iouType, "coco")

    @property
    def evalImgs(self) -> None:
        """Refused: a match is not kept with its ids."""
        raise UserError("evalImgs is not kept by fasa.evaluation: take pycocotools for matches image by image.")

    @property
    def ious(self) -> None:
        """Refused: only pairs that can match are computed."""
        raise UserError("ious is not kept by fasa.evaluation: take pycocotools for overlaps image by image.")

    def evaluate(self) -> None:
        """Match detections with objects.

        Raises:
            UserError: an input is missing, a parameter cannot be followed, or a detection is faulty.
        """
        for name in ("cocoGt", "cocoDt"):
            if getattr(self, name) is None:
                raise UserError(f"COCOeval has no {name}: give it before evaluate().")
        params, request = self.params, self.params.request()
        params.imgIds, params.maxDets = request.image_ids.tolist(), list(request.limits)
        params.catIds = request.category_ids.tolist()
        truth = read_truth(self.cocoGt, request.iou_type, "coco")
        entries = read_results(self.cocoDt, request.iou_type, truth)
        if request.by_class:
            found = overlaps_of(truth, entries, request, "iouThrs")
        else:
            alike = OneClassEntries(entries, request.category_ids)
            found = overlaps_of(one_class(truth, request.category_ids), alike, request, "iouThrs")
            found = by_place(found, alike.category_id, truth.category_ids[truth.category], request.category_ids)
        self._matches = match_by(found, Rules("coco", request.limits[-1], request.thresholds, request.area_ranges))
        self._request = request

    def accumulate(self, p: COCOParams | None = None) -> None:
        """Make the tables in ``eval``: "precision" and "scores" (T, R, K, A, M), "recall" (T, K, A, M).

        Raises:
            UserError: ``evaluate`` was not called, or with other parameters than ``p`` or ``params``.
        """
        if self._matches is None or self._request is None:
            raise UserError("nothing was evaluated: call evaluate() before accumulate().")
        params = p or self.params
        request = params.request()
        if not request.same_matching(self._request):
            raise UserError("params have changed since evaluate(): call it again before accumulate().")
        if not request.by_class:
            request = replace(request, category_ids=np.array([CHOSEN]))
        place = columns(self._matches, request)
        made = []
        for most in request.limits:
            ranking = ranked(self._matches, request, most)
            scores = recall_scores(self._matches, ranking, request.recalls)
            made.append((*requested_tables(self._matches, ranking, request), in_order(scores, place, axis=2)))
        precision, recall, scores = (np.stack(tables, axis=-1) for tables in zip(*made, strict=True))
        self.eval = {
            "params": params,
            "counts": list(precision.shape),
            "date": f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}",
            "precision": precision,
            "recall": recall,
            "scores": scores,
        }

    def summarize(self) -> None:
        """Print pycocotools' twelve lines and keep their figures in ``stats``, float64 (12,); -1 where nothing counts.

        As there, the first line is of 100 detections, and the limits of the others are the first three of ``maxDets``.

        Raises:
            UserError: ``accumulate`` was not called, or there are fewer than three limits.
        """
        if not self.eval:
            raise UserError("there are no tables: call accumulate() before summarize().")
        limits = self.params.maxDets
        if len(limits) < 3:
            raise UserError(f"params.maxDets is {limits}, and the summary is of three limits: give three.")
        lines: list[tuple[str, float | None, str, int]] = [("precision", None, "all", 100)]
        lines += [("precision", threshold, "all", limits[2]) for threshold in (0.5, 0.75)]
        lines += [("precision", None, area, limits[2]) for area in AREA_LABELS[1:]]
        lines += [("recall", None, "all", limit) for limit in limits[:3]]
        lines += [("recall", None, area, limits[2]) for area in AREA_LABELS[1:]]
        self.stats = np.array([self._figure(*line) for line in lines], np.float64)

    def _figure(self, table: str, threshold: float | None, area: str, limit: int) -> float:
        """Mean of a table at a threshold (all if None), an area range and a limit; also printed."""
        params, values = self.params, self.eval[table]
        if threshold is not None:
            values = values[np.asarray(params.iouThrs) == threshold]
        values = values[..., [label == area for label in params.areaRngLbl], :]
        figure = mean(values[..., [most == limit for most in params.maxDets]])
        title = "Average Precision  (AP)" if table == "precision" else "Average Recall     (AR)"
        ends = f"{params.iouThrs[0]:0.2f}:{params.iouThrs[-1]:0.2f}"
        iou = ends if threshold is None else f"{threshold:0.2f}"
        print(f" {title} @[ IoU={iou:<9} | area={area:>6} | maxDets={limit:>3d} ] = {figure:0.3f}")
        return figure
