"""SimCal (Wang et al., ECCV 2020): a second, class-balanced classification head beside a frozen detector's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList, reduce_mean
from torch import Tensor, nn
from torch.nn import functional

from fasa.errors import UserError
from fasa.mmdet.class_counts import read_class_counts
from fasa.mmdet.decoupling import StageTwoMaskRCNN
from fasa.mmdet.losses.base import ClassificationLoss


@MODELS.register_module()
class DualHeadSoftmax(ClassificationLoss):
    """Scores of two softmax heads side by side: rare classes take the calibrated head's, all others and background the
    original's, without renormalisation.

    Args:
        instance_counts: training instances of each class, in a list or a file (:func:`read_class_counts`).
        num_classes: ``C``.
        threshold: classes with fewer instances are the calibrated head's (released code: 400 for COCO-LT; for LVIS v0.5
            100 or 300, by its version).
    """

    rare: Tensor

    def __init__(self, instance_counts: Sequence[int] | str | Path, num_classes: int, threshold: int = 400) -> None:
        super().__init__(num_classes, num_classes + 1, "mean", 1.0)
        counts = read_class_counts(instance_counts, num_classes, "instance_counts of the calibrated box head")
        self.register_buffer("rare", functional.pad(counts < threshold, (0, 1)), persistent=False)  # [C + 1]

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Logits of the original and the calibrated head, ``[n, 2 (C + 1)]``, to scores ``[n, C + 1]``."""
        original, calibrated = cls_score.chunk(2, 1)
        return torch.where(self.rare, calibrated.softmax(1), original.softmax(1))

    def per_example(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Cross entropies ``[n]`` of one head's logits ``[n, C + 1]``."""
        return functional.cross_entropy(cls_score, labels, reduction="none")


class CalibratedClassifier(nn.Module):
    """The classification path of a ``Shared2FCBBoxHead``, with its names: two layers with ReLU, and a classifier."""

    def __init__(self, trained: Shared2FCBBoxHead) -> None:
        super().__init__()
        self.shared_fcs = nn.ModuleList(nn.Linear(fc.in_features, fc.out_features) for fc in trained.shared_fcs)
        self.fc_cls = nn.Linear(trained.fc_cls.in_features, trained.fc_cls.out_features)

    def forward(self, maps: Tensor) -> Tensor:
        """RoI maps ``[n, d, h, w]`` to logits ``[n, C + 1]``."""
        features = maps.flatten(1)
        for fc in self.shared_fcs:
            features = fc(features).relu()
        return self.fc_cls(features)


@MODELS.register_module()
class CalibratedBBoxHead(Shared2FCBBoxHead):
    """The trained head and a calibrated copy of its classification path; inference combines their scores.

    Args:
        instance_counts, threshold: of :class:`DualHeadSoftmax`, which replaces ``loss_cls``.
        others: of mmdet's ``Shared2FCBBoxHead``.
    """

    def __init__(
        self, *args: Any, instance_counts: Sequence[int] | str | Path, threshold: int = 400, **kwargs: Any
    ) -> None:
        kwargs["loss_cls"] = {
            "type": "DualHeadSoftmax",
            "instance_counts": instance_counts,
            "num_classes": kwargs.get("num_classes", 80),
            "threshold": threshold,
        }
        super().__init__(*args, **kwargs)
        self.calibrated = CalibratedClassifier(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of both heads, ``[n, 2 (C + 1)]``, and the trained head's box deltas."""
        cls_score, bbox_pred = super().forward(x)
        return torch.cat([cls_score, self.calibrated(x)], 1), bbox_pred

    @torch.no_grad()
    def start_from_trained(self) -> None:
        """Give the calibrated path the trained head's weights (the release's "3fc_ft")."""
        trained = self.state_dict()
        self.calibrated.load_state_dict({name: trained[name] for name in self.calibrated.state_dict()})


@MODELS.register_module()
class CalibratedRoIHead(StandardRoIHead):
    """Trains the calibrated head of a :class:`CalibratedBBoxHead`; inference as ever.

    A step's examples are the positive RoIs of the class for which their image was drawn
    (:class:`fasa.mmdet.bilevel_sampling.ClassImagePairs`) and as many random background RoIs of all its images.
    """

    def loss(
        self, x: tuple[Tensor, ...], rpn_results_list: InstanceList, batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """``loss_cls``, the mean cross entropy of all ranks' examples (0 without any), and ``acc``, their accuracy.

        Raises:
            UserError: images that were not drawn for a class.
        """
        with torch.no_grad():
            rois, labels = self.examples(x, rpn_results_list, batch_data_samples)
            maps = self.bbox_roi_extractor(x[: self.bbox_roi_extractor.num_inputs], rois)
        logits = self.bbox_head.calibrated(maps)
        # Data parallelism averages the ranks' gradients; with their mean number below the line, all examples weigh one.
        examples = reduce_mean(logits.new_tensor(float(len(labels)))).clamp(min=1)
        loss = functional.cross_entropy(logits, labels, reduction="sum") / examples
        accuracy = 100 * (logits.argmax(1) == labels).float().sum() / max(len(labels), 1)
        return {"loss_cls": loss, "acc": accuracy.reshape(1)}

    def examples(
        self, x: tuple[Tensor, ...], proposals: InstanceList, batch_data_samples: SampleList
    ) -> tuple[Tensor, Tensor]:
        """RoIs ``[m, 5]`` (image in the batch, box) and labels ``[m]``, background being ``C``, of a step."""
        sampled = self._sample(x, proposals, batch_data_samples)
        drawn = [sample.metainfo.get("drawn_class") for sample in batch_data_samples]
        if None in drawn:
            raise UserError(
                "CalibratedRoIHead is given images that were not drawn for a class; in train_dataloader wrap the "
                "dataset in a ClassImagePairs and choose the sampler BilevelSampler."
            )
        own = [result.pos_gt_labels == label for result, label in zip(sampled, drawn, strict=True)]
        positives = bbox2roi([result.pos_priors[keep] for result, keep in zip(sampled, own, strict=True)])
        labels = torch.cat([result.pos_gt_labels[keep] for result, keep in zip(sampled, own, strict=True)])
        background = bbox2roi([result.neg_priors for result in sampled])
        chosen = torch.randperm(len(background), device=background.device)[: len(positives)]
        no_class = labels.new_full((len(chosen),), self.bbox_head.num_classes)
        return torch.cat([positives, background[chosen]]), torch.cat([labels, no_class])

    def _sample(
        self, x: tuple[Tensor, ...], proposals: InstanceList, batch_data_samples: SampleList
    ) -> list[SamplingResult]:
        """The detector's normal assignment and sampling of RoIs, image by image (as in ``StandardRoIHead.loss``)."""
        truths, ignored, _ = unpack_gt_instances(batch_data_samples)
        results = []
        for i, (proposal, truth, ignore) in enumerate(zip(proposals, truths, ignored, strict=True)):
            proposal.priors = proposal.pop("bboxes")
            assigned = self.bbox_assigner.assign(proposal, truth, ignore)
            results.append(self.bbox_sampler.sample(assigned, proposal, truth, feats=[level[i][None] for level in x]))
        return results


@MODELS.register_module()
class CalibratedMaskRCNN(StageTwoMaskRCNN):
    """A frozen Mask R-CNN whose :class:`CalibratedBBoxHead` learns its second classification path.

    Args:
        stage_one: checkpoint of the trained Mask R-CNN with a plain ``Shared2FCBBoxHead``.
        others: of mmdet's ``MaskRCNN``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"retrain": ("calibrated",), **kwargs})

    def init_weights(self) -> None:
        super().init_weights()
        self.roi_head.bbox_head.start_from_trained()

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """The calibrated head's loss alone: nothing else learns, so no other loss is computed."""
        with torch.no_grad():
            maps = self.extract_feat(batch_inputs)
            proposals = self.rpn_head.predict_by_feat(
                *self.rpn_head(maps),
                batch_img_metas=[sample.metainfo for sample in batch_data_samples],
                cfg=self.train_cfg.get("rpn_proposal", self.test_cfg.rpn),
            )
        return self.roi_head.loss(maps, proposals, batch_data_samples)
