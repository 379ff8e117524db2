"""Classification loss of each class on held-out images, by the path that training takes (section 3.2).

mmdet 3.x has no validation loss: its validation only predicts. This is the training path up to the box heads, in
evaluation mode and without gradients: proposals by the *training* settings, ground truth added to them, assigned and
sampled, and the classification loss of every sampled RoI. The mask branch is left out; nothing here needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor, nn

from fasa.augmenters.base import Validation
from fasa.method.distributed import all_reduce
from fasa.mmdet.criterion import class_probabilities, per_example
from fasa.mmdet.seeding import mixed_seed, random_state


@dataclass
class RoIValidation(Validation):
    """The same of RoIs, in one process: ``[C + 1]`` float64, the background last.

    Attributes:
        probability: sum of the probabilities that inference gives the RoIs' true labels (figure 1b).
    """

    probability: Tensor

    @classmethod
    def zeros(cls, classes: int, device: torch.device) -> RoIValidation:
        """No RoIs yet of ``classes`` classes and the background."""
        return cls(*torch.zeros(4, classes + 1, dtype=torch.float64, device=device))

    def add(self, loss_cls: nn.Module, cls_score: Tensor, labels: Tensor, weights: Tensor | None = None) -> None:
        """Count RoIs with ``cls_score [n, channels]`` and ``labels [n]`` in ``0..C``, each by its weight, 1 without.

        Does not wait for the device.
        """
        cls_score = cls_score.float()
        probabilities = class_probabilities(loss_cls, cls_score)
        true = probabilities.gather(1, labels[:, None]).squeeze(1)
        hits = probabilities.argmax(1) == labels
        sums = self.loss, self.correct, self.count, self.probability
        values = per_example(loss_cls, cls_score, labels), hits, torch.ones_like(true), true
        for total, value in zip(sums, values, strict=True):
            total.index_add_(0, labels, value.double() if weights is None else value * weights.double())

    def over_processes(self) -> RoIValidation:
        """The sums of all processes together; a collective operation."""
        total = torch.stack([self.loss, self.correct, self.count, self.probability])
        all_reduce(total)
        return RoIValidation(*total)

    def means(self) -> dict[str, list[Any]]:
        """What a history says of each class, background last, by six significant digits; None without RoIs."""
        means = {
            "validation_loss": self.loss / self.count,
            "accuracy": self.correct / self.count,
            "true_class_probability": self.probability / self.count,
        }
        told = {
            name: [None if value != value else float(f"{value:.6g}") for value in values.tolist()]
            for name, values in means.items()
        }
        return {**told, "validation_count": [int(count) for count in self.count.tolist()]}


@dataclass(frozen=True)
class Stage:
    """What one box head trains with: Mask R-CNN has one stage, a cascade several."""

    name: str
    head: Any
    assigner: Any
    sampler: Any
    train_cfg: Any
    forward: Callable[[tuple[Tensor, ...], Tensor], dict[str, Any]]


def stages(detector: TwoStageDetector) -> list[Stage]:
    """The stages of a detector; ``name`` is ``bbox_head`` or ``bbox_head.0``, ``bbox_head.1``, …"""
    roi = detector.roi_head
    if not isinstance(roi.bbox_head, nn.ModuleList):
        return [
            Stage("bbox_head", roi.bbox_head, roi.bbox_assigner, roi.bbox_sampler, roi.train_cfg, roi._bbox_forward)
        ]
    parts = zip(roi.bbox_head, roi.bbox_assigner, roi.bbox_sampler, roi.train_cfg, strict=True)
    return [Stage(f"bbox_head.{i}", *part, partial(roi._bbox_forward, i)) for i, part in enumerate(parts)]


class ValidationLoss:
    """Run a detector's training path over held-out images and sum the classification losses of each class.

    Args:
        detector: not wrapped for data parallelism; it is left as it was, training modes included.
        dataloader: batches of a data set built with ``test_mode=False``, usually with the training pipeline.
        seed: of the sampling of RoIs, which depends on the seed, the image and the stage alone: the same over epochs,
            batch sizes and processes. The caller's random numbers go on as if this had not been.
        precision: a context for the forward passes, such as ``torch.autocast``.
    """

    def __init__(
        self,
        detector: TwoStageDetector,
        dataloader: Iterable[dict],
        seed: int = 0,
        precision: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self.detector, self.dataloader, self.seed, self.precision = detector, dataloader, seed, precision
        self.stages = stages(detector)

    @torch.no_grad()
    def __call__(self) -> list[RoIValidation]:
        """One entry for each box head: the sums over this process's images alone."""
        device = next(self.detector.parameters()).device
        sums = [RoIValidation.zeros(stage.head.num_classes, device) for stage in self.stages]
        with random_state(self.seed), evaluating(self.detector):
            for batch in self.dataloader:
                # As in training: only then are the ground truth's masks padded to the batch's size.
                batch = self.detector.data_preprocessor(batch, training=True)
                with self.precision():
                    self._add(sums, batch["inputs"], batch["data_samples"])
        return sums

    def _add(self, sums: list[RoIValidation], inputs: Tensor, samples: SampleList) -> None:
        maps = self.detector.extract_feat(inputs)
        truth, ignored, metas = unpack_gt_instances(samples)
        proposals = self._proposals(maps, metas)
        for number, (stage, total) in enumerate(zip(self.stages, sums, strict=True)):
            sampled = [
                self._sample(stage, number, *image)
                for image in zip(proposals, truth, ignored, metas, _levels_of_images(maps), strict=True)
            ]
            rois = bbox2roi([result.priors for result in sampled])
            results = {**stage.forward(maps, rois), "rois": rois}
            results["bbox_targets"] = stage.head.get_targets(sampled, stage.train_cfg)
            total.add(stage.head.loss_cls, results["cls_score"], results["bbox_targets"][0])
            if number + 1 < len(self.stages):
                proposals = stage.head.refine_bboxes(sampled, results, metas)
                if proposals is None:  # not a single RoI
                    return

    def _proposals(self, maps: tuple[Tensor, ...], metas: list[dict]) -> list[InstanceData]:
        config = self.detector.train_cfg.get("rpn_proposal", self.detector.test_cfg.rpn)
        rpn = self.detector.rpn_head
        return rpn.predict_by_feat(*rpn(maps), batch_img_metas=metas, cfg=config)

    def _sample(
        self,
        stage: Stage,
        number: int,
        proposals: InstanceData,
        truth: InstanceData,
        ignored: InstanceData | None,
        meta: dict,
        levels: list[Tensor],
    ) -> SamplingResult:
        proposals.priors = proposals.pop("bboxes")
        assigned = stage.assigner.assign(proposals, truth, ignored)
        # mmdet draws RoIs with the CPU's generator whatever the device.
        torch.default_generator.manual_seed(mixed_seed(self.seed, number, meta.get("img_id")))
        return stage.sampler.sample(assigned, proposals, truth, feats=levels)


def _levels_of_images(maps: tuple[Tensor, ...]) -> list[list[Tensor]]:
    return [[level[image][None] for level in maps] for image in range(len(maps[0]))]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every submodule is in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
