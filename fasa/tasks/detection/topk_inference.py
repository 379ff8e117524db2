"""Inference for AP-Fixed and AP-Pool (Dave et al. 2021): the best detections of each class over the whole set.

No limit an image: of each class the 10,000 best count, wherever they are. The first pass, without masks, finds the
score that a class's detections must reach; the second makes their masks. A lower score never suppresses a higher one,
so what falls under its class's threshold may be dropped before non-maximum suppression. Masks are made only for (image,
class) pairs that the annotations judge: of the others the protocols look at nothing but the score.

It runs any two-stage detector as it is; nothing of its configuration is used but the settings of NMS and masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from mmcv.ops import batched_nms
from mmdet.models.detectors import TwoStageDetector
from mmengine.structures import InstanceData
from torch import Tensor
from torch.utils.data import DataLoader

from fasa.evaluation import DetectionWriter, GroundTruth
from fasa.evaluation.geometry.rle import encode
from fasa.mmdet.validation_loss import evaluating
from fasa.tasks.detection.inference import progress

PER_CLASS = 10_000
SLACK = 1.1  # of the first pass: on a GPU the second may score a little differently (Dave et al.'s own code)
FLOOR = 1e-7
MASK_CHUNK = 300  # masks at full size at once
# Boxes of a call of NMS, which compares all with all: on a processor the fewer the better, on a GPU a call costs more
# than 4,000 boxes do, and all 360,000 of an image at FLOOR, 1,203 classes of 300 proposals, would fill its memory.
NMS_CHUNK, NMS_CHUNK_OF_CPU = 4096, 256
MERGE_EVERY = 1 << 20  # scores that wait for a merge at most: 8 MB of labels, 4 MB of scores


def write_detections(
    detector: TwoStageDetector, images: DataLoader, path: Path, annotations: GroundTruth, per_class: int = PER_CLASS
) -> None:
    """Write the ``per_class`` best detections of each class to ``path`` (.npz), masks where ``annotations`` judge.

    Raises:
        UserError: the disk is full; an older file is left as it was.
    """
    with DetectionWriter(path, annotations, "verified") as writer:
        dataset: Any = images.dataset
        infer(detector, images, writer, dataset.cat_ids, per_class)


@torch.no_grad()
def infer(
    detector: TwoStageDetector,
    dataloader: Iterable[dict[str, Any]],
    writer: DetectionWriter,
    category_ids: Sequence[int],
    per_class: int = PER_CLASS,
    slack: float = SLACK,
    floor: float = FLOOR,
) -> Tensor:
    """Write at least the ``per_class`` best detections of each class (all, if there are fewer above ``floor``).

    Under ``torch.distributed`` each process gives its part of the data and its own writer; thresholds are common.

    Args:
        detector: left in the mode that it was in.
        dataloader: test batches, iterated twice.
        writer: what takes the detections; with policy "verified" masks are made only where they can count.
        category_ids: the annotations' id of each label, ``[C]``.
        per_class: detections that count of each class.
        slack: the thresholds admit ``slack * per_class``.
        floor: least score.

    Returns:
        The thresholds ``[C]``.
    """
    ids = np.asarray(category_ids)
    device = next(detector.parameters()).device
    best = RunningBest(len(ids), math.ceil(per_class * slack), floor, device)
    with evaluating(detector):
        for batch in progress(dataloader, "best scores of each class"):
            for _, results in detections(detector, batch, best.thresholds):
                best.add(results.labels, results.scores)
        best.gather()
        for batch in progress(dataloader, "their masks"):
            for image, results in detections(detector, batch, best.thresholds):
                write(detector, image, results, writer, ids)
    return best.thresholds


class Image:
    """One image in the network: its maps of one row each and its meta information."""

    def __init__(self, maps: tuple[Tensor, ...], meta: dict[str, Any]) -> None:
        self.maps, self.meta = maps, meta


def detections(
    detector: TwoStageDetector, batch: dict[str, Any], thresholds: Tensor
) -> Iterable[tuple[Image, InstanceData]]:
    """Detections of each image of a test batch that reach their class's threshold ``[C]``, after NMS, without masks.

    Boxes are x1, y1, x2, y2 in pixels of the network's input.
    """
    nms = detector.roi_head.test_cfg.nms
    for image, found in scored_boxes(detector, batch):
        yield image, suppress(found.bboxes, found.scores, thresholds, nms, max(image.meta["img_shape"][:2]))


def scored_boxes(detector: TwoStageDetector, batch: dict[str, Any]) -> Iterable[tuple[Image, InstanceData]]:
    """All boxes of each image of a test batch, before NMS: ``bboxes [n, 4]`` or, one for each class, ``[n, 4 C]``, and
    ``scores [n, C + 1]``, background last."""
    data = detector.data_preprocessor(batch, training=False)
    maps = detector.extract_feat(data["inputs"])
    samples = data["data_samples"]
    proposals = detector.rpn_head.predict(maps, samples, rescale=False)
    metas = [sample.metainfo for sample in samples]
    # Without test settings the heads give all boxes and scores as they are, the mean over a cascade's stages included.
    raw = detector.roi_head.predict_bbox(maps, metas, proposals, rcnn_test_cfg=None, rescale=False)
    for number, (meta, result) in enumerate(zip(metas, raw, strict=True)):
        yield Image(tuple(level[number : number + 1] for level in maps), meta), result


def suppress(boxes: Tensor, scores: Tensor, thresholds: Tensor, nms: dict[str, Any], side: int) -> InstanceData:
    """NMS within each class of what reaches ``thresholds [C]``; best first.

    Args:
        boxes: ``[n, 4 C]``, or ``[n, 4]`` for all classes.
        scores: ``[n, C + 1]``, background last.
        thresholds: least score of each class.
        nms: mmcv's settings.
        side: the image's longer side: classes are laid out this far apart, whatever the thresholds let pass, so that
            rounding, and with it suppression, does not depend on them.
    """
    classes = len(thresholds)
    found, labels = (scores[:, :classes] >= thresholds).nonzero(as_tuple=True)
    scores = scores[found, labels]
    boxes = boxes.unflatten(1, (boxes.shape[1] // 4, 4))
    boxes = boxes[found, labels if boxes.shape[1] > 1 else 0]
    if len(boxes):
        apart = boxes + (labels * (side + 1)).to(boxes)[:, None]
        size = NMS_CHUNK_OF_CPU if boxes.device.type == "cpu" else NMS_CHUNK
        chunk = (torch.bincount(labels).cumsum(0) - 1) // size  # whole classes, one or many
        kept = batched_nms(apart, scores, chunk[labels], {**nms, "split_thr": 1}, class_agnostic=True)[1]
        boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
    return InstanceData(bboxes=boxes, scores=scores, labels=labels)


def write(
    detector: TwoStageDetector, image: Image, results: InstanceData, writer: DetectionWriter, category_ids: np.ndarray
) -> None:
    """Hand an image's detections to the writer, with masks where it wants them."""
    image_id = image.meta["img_id"]
    categories = category_ids[results.labels.cpu().numpy()]
    masks: list[dict[str, Any] | None] | None = None
    if detector.roi_head.with_mask:
        masks = [None] * len(results)
        wanted = np.flatnonzero(writer.judged(image_id, categories))
        for chunk in np.split(wanted, range(MASK_CHUNK, len(wanted), MASK_CHUNK)):
            for i, mask in zip(chunk.tolist(), _masks(detector, image, results, chunk), strict=True):
                masks[i] = mask
    writer.add(image_id, categories, results.scores.double().cpu().numpy(), _boxes(image, results), masks)


def write_boxes(image: Image, results: InstanceData, writer: DetectionWriter, category_ids: np.ndarray) -> None:
    """Hand an image's detections to the writer without any mask."""
    categories, scores = category_ids[results.labels.cpu().numpy()], results.scores.double().cpu().numpy()
    writer.add(image.meta["img_id"], categories, scores, _boxes(image, results))


def _boxes(image: Image, results: InstanceData) -> np.ndarray:
    """x, y, width, height of the detections in pixels of the image itself, ``[n, 4]``."""
    width, height = image.meta["scale_factor"]
    scale = results.bboxes.new_tensor([width, height, width, height])
    corners = (results.bboxes / scale).double().cpu().numpy()
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)


def _masks(detector: TwoStageDetector, image: Image, results: InstanceData, chunk: np.ndarray) -> list[dict[str, Any]]:
    """RLE objects of the detections ``chunk``, at the image's own size."""
    if not len(chunk):
        return []
    rows = torch.from_numpy(chunk).to(results.labels.device)
    part = InstanceData(bboxes=results.bboxes[rows], labels=results.labels[rows])  # copies: the head rescales boxes
    (part,) = detector.roi_head.predict_mask(image.maps, [image.meta], [part], rescale=True)
    masks = part.masks.cpu().numpy()
    size = list(masks.shape[1:])
    return [{"size": size, "counts": string} for string in encode(masks)]


class RunningBest:
    """The k best scores of each class so far, in bounded memory.

    ``thresholds [C]`` is what a score must reach to be among them: the k-th best so far, at least ``floor``, which is
    also that of a class with fewer. It lags behind by the scores that wait for a merge, and so never admits too little.

    Args:
        classes: ``C``.
        size: ``k``, scores kept of each class.
        floor: least threshold.
        device: where the table ``[C, k]`` lives.
    """

    def __init__(self, classes: int, size: int, floor: float, device: torch.device | str = "cpu") -> None:
        self.floor = floor
        self.thresholds = torch.full((classes,), floor, device=device)
        self.scores = torch.full((classes, size), -torch.inf, device=device)  # each row falls
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._count = 0

    def add(self, labels: Tensor, scores: Tensor) -> None:
        """Take in ``scores [n]`` of ``labels [n]``."""
        self._waiting.append((labels, scores))
        self._count += len(labels)
        if self._count >= MERGE_EVERY:
            self._merge()

    def gather(self) -> None:
        """Merge what waits, and the tables of all processes; a collective operation."""
        self._merge()
        if not (dist.is_available() and dist.is_initialized()):
            return
        tables = [torch.empty_like(self.scores) for _ in range(dist.get_world_size())]
        dist.all_gather(tables, self.scores)
        for rank, table in enumerate(tables):
            if rank != dist.get_rank():
                self.scores = torch.cat([self.scores, table], 1).topk(self.scores.shape[1], 1).values
        self._update()

    def _merge(self) -> None:
        if not self._count:
            return
        labels, scores = (torch.cat(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting, self._count = [], 0
        size = self.scores.shape[1]
        scores, order = scores.sort(descending=True)
        labels, by_class = labels[order].sort(stable=True)
        scores = scores[by_class]
        rank = torch.arange(len(labels), device=labels.device) - torch.searchsorted(labels, labels)
        # Most rows gain little: a table as wide as the longest of them, of these classes alone.
        touched, row = labels.unique_consecutive(return_inverse=True)
        width = min(int(rank.max()) + 1, size)
        fresh = self.scores.new_full((len(touched), width), -torch.inf)
        kept = rank < width
        fresh[row[kept], rank[kept]] = scores[kept].to(fresh.dtype)
        both = torch.cat([self.scores[touched], fresh], 1)
        self.scores[touched] = both.topk(size, 1).values
        self._update()

    def _update(self) -> None:
        self.thresholds = self.scores[:, -1].clamp(min=self.floor)
