"""LVIS's figures as a metric of MMDetection, by ``fasa.evaluation``: AP, AP-Fixed and AP-Pool of boxes and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get_local_path
from mmengine.logging import MMLogger

from fasa.errors import UserError
from fasa.evaluation import LVIS, Detections, Matches, evaluate, match, overlaps
from fasa.evaluation.geometry.overlaps import AREAS, IOU_TYPES
from fasa.evaluation.io.detection_columns import validate
from fasa.evaluation.io.detections import DetectionSource
from fasa.evaluation.io.result_columns import NO_SIZE, RawDetections
from fasa.evaluation.io.writer import encode_masks
from fasa.evaluation.metrics.matching import check_protocol, limit_of, short_classes

IMAGES_AT_ONCE = 500
FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")  # those of LVISMetric


@dataclass(frozen=True)
class ImageDetections:
    """The n detections of an image, as they travel between processes."""

    image_id: int
    category_ids: np.ndarray  # int64 (n,)
    scores: dict[str, np.ndarray]  # float64 (n,), by iou type
    boxes: np.ndarray  # float64 (n, 4) x, y, w, h
    sizes: list[tuple[int, int]]  # n: height and width of a mask, zeros without one
    strings: list[bytes]  # n: COCO's compressed masks, empty without one


@METRICS.register_module()
class FasaLVISMetric(BaseMetric):
    """For ``LVISMetric``, with its names, ``lvis/bbox_AP`` and so on, also ending in ``_fixed`` and ``_pool``.

    Figures are fractions, not rounded, -1 where no object counts. Masks are encoded and kept only where the annotations
    judge the class in the image, as no figure looks at others.

    Args:
        ann_file: annotations of LVIS.
        metric: "bbox", "segm" or both.
        protocols: of "standard", "fixed" and "pool" (Dave et al. 2021); the last two want a detector that keeps many
            detections of every class.
        areas: whether small, medium and large masks are told by the area of the "box", as ``LVISMetric`` does, or of
            the "mask", as detectron2 and ``fasa score`` do.
        collect_device: as of ``LVISMetric``.
        prefix: as of ``LVISMetric``.
        backend_args: as of ``LVISMetric``.

    Raises:
        UserError: an unknown name, or the annotations cannot be read or are not LVIS's.
    """

    default_prefix = "lvis"

    def __init__(
        self,
        ann_file: str,
        metric: str | Sequence[str] = "bbox",
        protocols: Sequence[str] = ("standard",),
        areas: str = "box",
        collect_device: str = "cpu",
        prefix: str | None = None,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.iou_types = [metric] if isinstance(metric, str) else list(metric)
        for name, given, known in (("metric", self.iou_types, IOU_TYPES), ("areas", [areas], AREAS)):
            if not given or not set(given) <= set(known):
                raise UserError(f"FasaLVISMetric has {name} {given}: choose from {', '.join(known)}.")
        with get_local_path(ann_file, backend_args=backend_args) as path:
            annotations = LVIS(path)
            self.truth = annotations.truth("segm")
            self.category_ids = np.array(annotations.get_cat_ids())  # of the labels, as mmdet's data sets count them
        for protocol in protocols:
            check_protocol(self.truth, protocol)
        self.protocols, self.areas = list(protocols), areas

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the detections of a batch, one entry of ``results`` an image.

        Raises:
            UserError: an image or a label that the annotations lack, or no masks where they are to be scored.
        """
        self.results += [self._detections(sample) for sample in data_samples]

    def _detections(self, sample: dict[str, Any]) -> ImageDetections:
        found, image_id = sample["pred_instances"], int(sample["img_id"])
        labels = found["labels"].cpu().numpy()
        if len(labels) and labels.max() >= len(self.category_ids):
            raise UserError(
                f"image {image_id} has a detection of label {labels.max()}, but {self.truth.name} has "
                f"{len(self.category_ids)} classes: give the metric the annotations of the data set."
            )
        category_ids = self.category_ids[labels]
        boxes = found["bboxes"].cpu().numpy().astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        scores = dict.fromkeys(IOU_TYPES, found["scores"].cpu().numpy().astype(np.float64))
        if "mask_scores" in found:
            scores["segm"] = found["mask_scores"].cpu().numpy().astype(np.float64)
        sizes, strings = [NO_SIZE] * len(labels), [b""] * len(labels)
        if "segm" in self.iou_types:
            chosen = np.flatnonzero(self._judged(image_id, category_ids)).tolist()
            for i, (size, string) in zip(chosen, self._masks(found, image_id, chosen), strict=True):
                sizes[i], strings[i] = size, string
        return ImageDetections(image_id, category_ids, scores, boxes, sizes, strings)

    def _judged(self, image_id: int, category_ids: np.ndarray) -> np.ndarray:
        """bool (n,): whether the class is annotated in the image or known to be absent."""
        truth = self.truth
        image = int(np.searchsorted(truth.image_ids, image_id))
        if image == len(truth.image_ids) or truth.image_ids[image] != image_id:
            raise UserError(
                f"image {image_id} is not in {truth.name}: give the metric the annotations of the data set."
            )
        return truth.verified[image, np.searchsorted(truth.category_ids, category_ids)]

    def _masks(self, found: Any, image_id: int, chosen: list[int]) -> list[tuple[tuple[int, int], bytes]]:
        if "masks" not in found:
            raise UserError(f"image {image_id} has no masks, which metric 'segm' scores: leave it out of the metric.")
        masks, where = found["masks"], f"the detections of image {image_id}"
        if isinstance(masks, list):  # of RLE objects
            return encode_masks(masks, chosen, where)
        picked = masks[chosen].detach().cpu().numpy().astype(bool)
        return encode_masks(picked, range(len(chosen)), where) if chosen else []

    def compute_metrics(self, results: list[ImageDetections]) -> dict[str, float]:
        """Figures by name, fractions."""
        return {name: figure for iou_type in self.iou_types for name, figure in self._figures(results, iou_type)}

    def _figures(self, results: list[ImageDetections], iou_type: str) -> Iterator[tuple[str, float]]:
        found = overlaps(self.truth, _Collected(results, iou_type), iou_type, area=self.areas)
        matched: dict[str, Matches] = {}  # by limit, which AP-Fixed and AP-Pool share
        for protocol in self.protocols:
            limit = limit_of(self.truth.kind, protocol)
            matched[limit] = matched.get(limit) or match(found, protocol)
            summary = evaluate(matched[limit], protocol).summary
            ending = "" if protocol == "standard" else f"_{protocol}"
            for name in FIGURES:
                if name in summary:
                    figure = summary[name]
                    yield f"{iou_type}_{name}{ending}", -1.0 if figure is None else figure
        if "class" in matched and (short := short_classes(found)):
            MMLogger.get_current_instance().info(
                f"{iou_type}: {short} classes with objects have fewer than the 10,000 detections that AP-Fixed and "
                "AP-Pool are of; let the detector keep more."
            )


class _Collected(DetectionSource):
    """The detections of many images, with boxes or with boxes and masks."""

    def __init__(self, images: list[ImageDetections], iou_type: str) -> None:
        policy = "verified" if iou_type == "segm" else "all"
        super().__init__("the detections", sum(len(image.boxes) for image in images), policy)
        self._images, self._iou_type = images, iou_type

    def chunks(self, masks: bool = True) -> Iterator[Detections]:
        """All detections, validated, some images at a time."""
        self.done_bytes = 0
        for begin in range(0, len(self._images), IMAGES_AT_ONCE):
            part = [image for image in self._images[begin : begin + IMAGES_AT_ONCE] if len(image.boxes)]
            if not part:
                continue
            rows = sum(len(image.boxes) for image in part)
            masked = self._iou_type == "segm"
            raw = RawDetections.of(
                np.repeat([image.image_id for image in part], [len(image.boxes) for image in part]),
                np.concatenate([image.category_ids for image in part]),
                np.concatenate([image.scores[self._iou_type] for image in part]),
                np.concatenate([image.boxes for image in part]),
                [size for image in part for size in image.sizes] if masked else [NO_SIZE] * rows,
                [string for image in part for string in image.strings] if masked else [b""] * rows,
            )
            yield validate(raw, self.name, self.done_bytes, self.policy, masks)
            self.done_bytes += rows
