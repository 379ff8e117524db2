"""``LVISEval`` under lvis-api's names: the same figures, to the last bit."""

from __future__ import annotations

import datetime
import logging
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.drop_in.inputs import check_iou_type, read_ids, read_results, read_truth
from fasa.evaluation.drop_in.lvis_annotations import LVIS
from fasa.evaluation.drop_in.lvis_results import LVISResults
from fasa.evaluation.drop_in.request import (
    Request,
    columns,
    fractions,
    mean,
    overlaps_of,
    ranges,
    ranked,
    requested_tables,
    whole_numbers,
)
from fasa.evaluation.geometry.overlaps import BACKGROUND_IOU
from fasa.evaluation.io.ground_truth import FREQUENCIES, GroundTruth
from fasa.evaluation.metrics.average_precision import RECALLS
from fasa.evaluation.metrics.matching import AREA_RANGES, IMAGE_LIMIT, IOU_THRESHOLDS, Matches, Rules, match_by

AREA_LABELS = ["all", "small", "medium", "large"]


class LVISParams:
    """The parameters of ``LVISEval``, with lvis-api's names and defaults.

    ``max_dets`` names the figures of recall; how many detections count is said to ``LVISResults``, as with lvis-api.
    """

    def __init__(self, iou_type: str) -> None:
        self.img_ids: Any = []
        self.cat_ids: Any = []
        self.iou_thrs: Any = IOU_THRESHOLDS.copy()
        self.rec_thrs: Any = RECALLS.copy()
        self.max_dets = IMAGE_LIMIT
        self.area_rng: Any = AREA_RANGES.tolist()
        self.area_rng_lbl = list(AREA_LABELS)
        self.use_cats = 1
        self.img_count_lbl = list(FREQUENCIES)
        self.iou_type = iou_type

    def request(self, truth: GroundTruth) -> Request:
        """The parameters, checked.

        Raises:
            UserError: the first that cannot be followed.
        """
        check_iou_type(self.iou_type)
        if not self.use_cats:
            raise UserError("params.use_cats is off, for which lvis-api has no figures: leave it on.")
        images = np.unique(whole_numbers(self.img_ids, "img_ids"))
        classes = whole_numbers(self.cat_ids, "cat_ids")
        for name, ids, known in (("img_ids", images, truth.image_ids), ("cat_ids", classes, truth.category_ids)):
            unknown = ids[~np.isin(ids, known)]
            if len(unknown):
                raise UserError(f"params.{name} has {unknown[0]}, which {truth.name} does not list: leave it out.")
        return Request(
            self.iou_type,
            images,
            classes,
            fractions(self.iou_thrs, "iou_thrs", BACKGROUND_IOU),
            fractions(self.rec_thrs, "rec_thrs", ascending=True),
            ranges(self.area_rng, self.area_rng_lbl, "area_rng"),
        )


class LVISEval:
    """LVIS AP and AR, as ``lvis.LVISEval``; matches image by image (``eval_imgs``, ``ious``) are not kept.

    Args:
        lvis_gt: an ``LVIS``, of here or of lvis-api, or a path.
        lvis_dt: an ``LVISResults``, of here or of lvis-api, a path (also to our .npz), or the list of entries.
        iou_type: "segm", "bbox", or "boundary" as in boundary-iou-api (Cheng et al. 2021).

    Raises:
        UserError: whatever is wrong with an input, in one sentence; EmptyResults, which is an IndexError, too.
    """

    def __init__(self, lvis_gt: Any, lvis_dt: Any, iou_type: str = "segm") -> None:
        check_iou_type(iou_type)
        self.logger = logging.getLogger(__name__)
        self.lvis_gt = LVIS(lvis_gt) if isinstance(lvis_gt, str | Path) else lvis_gt
        self.lvis_dt = LVISResults(self.lvis_gt, lvis_dt) if isinstance(lvis_dt, str | Path | list) else lvis_dt
        self.params = LVISParams(iou_type)
        ours = isinstance(self.lvis_gt, LVIS)
        self.params.img_ids, self.params.cat_ids = read_ids(
            self.lvis_gt.truth(iou_type) if ours else self.lvis_gt, iou_type, "lvis"
        )
        self.eval: dict[str, Any] = {}
        self.results: dict[str, float] = OrderedDict()
        self.freq_groups: list[list[int]] = []
        self._matches: Matches | None = None
        self._request: Request | None = None

    @property
    def eval_imgs(self) -> None:
        """Refused: a match is not kept with its ids."""
        raise UserError(
            "eval_imgs is not kept by fasa.evaluation: take lvis-api for matches image by image; "
            "average_precision(…, protocol='pool') has AP-Pool."
        )

    def run(self) -> None:
        """``evaluate``, ``accumulate`` and ``summarize``."""
        self.evaluate()
        self.accumulate()
        self.summarize()

    def evaluate(self) -> None:
        """Match detections with objects.

        Raises:
            UserError: a parameter that cannot be followed, or a faulty detection.
        """
        self.logger.info("Matching detections by %s.", self.params.iou_type)
        given, iou_type = self.lvis_gt, self.params.iou_type
        truth = given.truth(iou_type) if isinstance(given, LVIS) else read_truth(given, iou_type, "lvis")
        request = self.params.request(truth)
        self.params.img_ids = request.image_ids.tolist()
        ours = isinstance(self.lvis_dt, LVISResults)
        entries = read_results(self.lvis_dt.scored if ours else self.lvis_dt, request.iou_type, truth)
        most = self.lvis_dt.limit if ours else None  # lvis-api's object has chosen already
        found = overlaps_of(truth, entries, request, "iou_thrs")
        self._matches = match_by(found, Rules("image", most, request.thresholds, request.area_ranges))
        self._request = request
        place = columns(self._matches, request)
        letters = truth.frequencies[place].tolist()
        self.freq_groups = [
            [k for k, letter in enumerate(letters) if letter == label] for label in self.params.img_count_lbl
        ]

    def accumulate(self) -> None:
        """Make the tables in ``eval``: "precision" (T, R, K, A) and "recall" (T, K, A), -1 where nothing counts.

        Raises:
            UserError: ``evaluate`` was not called, or with other parameters.
        """
        if self._matches is None or self._request is None:
            raise UserError("nothing was evaluated: call evaluate() before accumulate().")
        request = self.params.request(self._matches.overlaps.ground_truth)
        if not request.same_matching(self._request):
            raise UserError("params have changed since evaluate(): call it again before accumulate().")
        precision, recall = requested_tables(self._matches, ranked(self._matches, request), request)
        self.eval = {
            "params": self.params,
            "counts": list(precision.shape),
            "date": f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}",
            "precision": precision,
            "recall": recall,
        }

    def _summarize(
        self, summary_type: str, iou_thr: float | None = None, area_rng: str = "all", freq_group_idx: int | None = None
    ) -> float:
        """Mean precision ("ap") or recall ("ar") over what the arguments leave; -1 where nothing is left."""
        table = self.eval["precision" if summary_type == "ap" else "recall"]
        if iou_thr is not None:
            table = table[np.asarray(self.params.iou_thrs) == iou_thr]
        table = table[..., [label == area_rng for label in self.params.area_rng_lbl]]
        if freq_group_idx is not None:
            table = table[:, :, self.freq_groups[freq_group_idx]]
        return mean(table)

    def summarize(self) -> None:
        """Fill ``results`` with lvis-api's thirteen figures, fractions; -1 where no object counts.

        Raises:
            UserError: ``accumulate`` was not called.
        """
        if not self.eval:
            raise UserError("there are no tables: call accumulate() before summarize().")
        figures = self.results
        figures["AP"] = self._summarize("ap")
        for percent in (50, 75):
            figures[f"AP{percent}"] = self._summarize("ap", iou_thr=percent / 100)
        for area in AREA_LABELS[1:]:
            figures[f"AP{area[0]}"] = self._summarize("ap", area_rng=area)
        for number, letter in enumerate(FREQUENCIES):
            figures[f"AP{letter}"] = self._summarize("ap", freq_group_idx=number)
        for area in AREA_LABELS:
            figures[f"AR{'' if area == 'all' else area[0]}@{self.params.max_dets}"] = self._summarize(
                "ar", area_rng=area
            )

    def get_results(self) -> dict[str, float]:
        """``results``, empty before ``run``."""
        if not self.results:
            self.logger.warning("There are no results yet: call run().")
        return self.results

    def print_results(self) -> None:
        """Print ``results`` in lvis-api's lines."""
        thresholds = self.params.iou_thrs
        for key, value in self.results.items():
            kind, rest = key[:2], key[2:].split("@")[0]
            title = "Average Precision  (AP)" if kind == "AP" else "Average Recall     (AR)"
            iou = f"{float(rest) / 100:0.2f}" if rest.isdigit() else f"{thresholds[0]:0.2f}:{thresholds[-1]:0.2f}"
            area = rest if rest in {"s", "m", "l"} else "all"
            classes = rest if rest in FREQUENCIES else "all"
            print(
                f" {title} @[ IoU={iou:<9} | area={area:>6} | maxDets={self.params.max_dets:>3d} "
                f"catIds={classes:>3}] = {value:0.3f}"
            )
