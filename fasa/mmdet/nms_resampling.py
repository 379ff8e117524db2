"""NMS re-sampling (Wu et al., "Forest R-CNN", ACM MM 2020): more proposals near rare objects, in training only.

``custom_imports = dict(imports=["fasa.mmdet"])`` registers both classes; a config sets
``model.type = "ResampledMaskRCNN"`` and ``model.rpn_head = dict(type="ResampledRPNHead", frequencies=...)``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmcv.ops import batched_nms
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import MaskRCNN, TwoStageDetector
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor, get_box_wh
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from fasa.errors import UserError

GROUPS = "rcf"
TRUE_LABELS = "true_labels"  # the field of gt_instances that outlives the RPN's zeros
_TRUTH = "nms_resampling"  # the key of an image's meta information that the RPN head hands to itself


class TrueLabels(TwoStageDetector):
    """For a two-stage detector: leave the RPN the true labels, which it otherwise is given as zeros."""

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Any]:
        """Losses, by name; see ``TwoStageDetector.loss``, which copies the samples and sets the copies' labels to 0."""
        for sample in batch_data_samples:
            sample.gt_instances.set_field(sample.gt_instances.labels, TRUE_LABELS)
        return super().loss(batch_inputs, batch_data_samples)


@MODELS.register_module()
class ResampledMaskRCNN(TrueLabels, MaskRCNN):
    """Mask R-CNN for :class:`ResampledRPNHead`.

    Raises:
        UserError: the RPN head knows the frequencies of another number of classes than the box head has.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        known, classes = getattr(self.rpn_head, "group", ()), self.roi_head.bbox_head.num_classes
        if len(known) not in (0, classes):
            raise UserError(
                f"frequencies of rpn_head lists {len(known)} classes but the box head has {classes}; make them agree."
            )


@MODELS.register_module()
class ResampledRPNHead(RPNHead):
    """RPN head whose proposals in training pass an NMS of their objects' frequency (the "discrete" rule).

    A proposal is near a group of classes if its IoU with one of their objects is at least ``near``. Those near a rare
    object pass an NMS at 0.9, those near a common one at 0.8, the others at the configured threshold (0.7). One near
    both a rare and a common object may come twice, as in the released code. At test time it is a plain RPN head.

    Args:
        frequencies: "r", "c" or "f" of each class, ``[C]``, or the path of a JSON list of them.
        thresholds: IoU threshold of the NMS of rare and of common classes.
        near: least IoU with an object.
        arguments: those of ``RPNHead``.

    Raises:
        UserError: the frequencies are missing or are not such letters.
    """

    group: Tensor

    def __init__(
        self,
        *arguments: Any,
        frequencies: Sequence[str] | str,
        thresholds: Mapping[str, float] | None = None,
        near: float = 0.3,
        **keywords: Any,
    ) -> None:
        super().__init__(*arguments, **keywords)
        self.thresholds = {"r": 0.9, "c": 0.8} if thresholds is None else dict(thresholds)
        self.near = near
        letters = read_frequencies(frequencies)
        # Derived from the configuration: not in checkpoints, which a plain RPN head shall load too.
        self.register_buffer("group", torch.tensor([GROUPS.index(x) for x in letters]), persistent=False)

    def loss_and_predict(
        self, x: tuple[Tensor, ...], batch_data_samples: SampleList, proposal_cfg: ConfigDict | None = None
    ) -> tuple[dict[str, Any], list[InstanceData]]:
        """Losses and re-sampled proposals of each image.

        Raises:
            UserError: the detector did not leave the true labels.
        """
        truths, ignored, metas = unpack_gt_instances(batch_data_samples)
        if not all(TRUE_LABELS in truth for truth in truths):
            raise UserError('rpn_head.type is "ResampledRPNHead", which needs model.type = "ResampledMaskRCNN".')
        outs = self(x)
        losses = self.loss_by_feat(*outs, truths, metas, ignored)
        near = [
            {**meta, _TRUTH: (get_box_tensor(truth.bboxes), self.group[truth[TRUE_LABELS]])}
            for meta, truth in zip(metas, truths, strict=True)
        ]
        return losses, self.predict_by_feat(*outs, batch_img_metas=near, cfg=proposal_cfg)

    def _bbox_post_process(
        self,
        results: InstanceData,
        cfg: ConfigDict,
        rescale: bool = False,
        with_nms: bool = True,
        img_meta: dict[str, Any] | None = None,
    ) -> InstanceData:
        if img_meta is None or _TRUTH not in img_meta:
            return super()._bbox_post_process(results, cfg, rescale, with_nms, img_meta)
        least = cfg.get("min_bbox_size", -1)
        if least >= 0:
            width, height = get_box_wh(results.bboxes)
            results = results[(width > least) & (height > least)]
        boxes, scores = get_box_tensor(results.bboxes), results.scores
        objects, groups = img_meta[_TRUTH]
        kept = resample(boxes, scores, results.level_ids, objects, groups, cfg.nms, self.thresholds, self.near)
        kept = kept[scores[kept].argsort(descending=True, stable=True)][: cfg.max_per_img]
        proposals = results[kept]
        proposals.labels = proposals.level_ids.new_zeros(len(kept))
        del proposals.level_ids
        return proposals


def resample(
    boxes: Tensor,
    scores: Tensor,
    levels: Tensor,
    truth_boxes: Tensor,
    truth_groups: Tensor,
    nms: Mapping[str, Any],
    thresholds: Mapping[str, float],
    near: float = 0.3,
) -> Tensor:
    """Which proposals to keep: indices into ``boxes [n, 4]``, of rare, then of common, then of other objects.

    Args:
        boxes, scores, levels: proposals ``[n, 4]`` x1, y1, x2, y2, ``[n]`` and their pyramid levels ``[n]``, which do
            not suppress each other.
        truth_boxes, truth_groups: objects ``[g, 4]`` and ``[g]``, an index into "rcf".
        nms: the plain NMS; its ``iou_threshold`` holds for all but rare and common objects.
        thresholds: IoU thresholds of "r" and "c".
        near: least IoU with an object of the group.
    """
    if not len(boxes):
        return levels.new_zeros(0)

    def suppress(threshold: float) -> Tensor:
        return batched_nms(boxes, scores, levels, {**nms, "iou_threshold": threshold})[1]

    kept, others = [], suppress(nms["iou_threshold"])
    # NMS synchronises with the device anyway; most images have no rare object, and two NMS less.
    present = torch.stack([(truth_groups == GROUPS.index(letter)).any() for letter in thresholds]).tolist()
    for letter, found in zip(thresholds, present, strict=True):
        if found:
            objects = truth_boxes[truth_groups == GROUPS.index(letter)]
            close = bbox_overlaps(boxes, objects).amax(1) >= near
            chosen = suppress(thresholds[letter])
            kept.append(chosen[close[chosen]])
            others = others[~close[others]]
    return torch.cat([*kept, others])


def read_frequencies(frequencies: Sequence[str] | str) -> list[str]:
    """The letters of all classes, from a list or from the path of a JSON list.

    Raises:
        UserError: the file cannot be read, or an entry is none of "r", "c" and "f".
    """
    name = "frequencies"
    if isinstance(frequencies, str):
        name = frequencies
        try:
            frequencies = json.loads(Path(frequencies).read_text())
        except (OSError, ValueError) as error:
            raise UserError(
                f"{name} cannot be read ({type(error).__name__}): write a JSON list of r, c or f, one a class."
            ) from error
    letters = list(frequencies) if isinstance(frequencies, Sequence) else []
    for i, letter in enumerate(letters):
        if not (isinstance(letter, str) and len(letter) == 1 and letter in GROUPS):
            raise UserError(f"{name}: class {i} has frequency {letter!r}: write r, c or f.")
    if not letters:
        raise UserError(f"{name} lists no class: write r, c or f, one a class.")
    return letters
