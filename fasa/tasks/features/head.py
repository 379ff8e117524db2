"""The classifier of a box head, its loss and its augmenters: what a detector trains of them, without the detector."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from torch import Tensor, nn

from fasa.augmenters.base import Augmenter, Batch, TrainingContext, build_augmenter
from fasa.datasets.manifest import LISTS, list_path, read_manifest
from fasa.method.virtual_loss import total_loss
from fasa.mmdet.criterion import virtual
from fasa.mmdet.losses.bags import BalancedGroupSoftmax
from fasa.tasks.detection.configs import set_loss
from fasa.tasks.features.geometry import SAMPLED
from fasa.tasks.task import Job

FIRST_STD = 0.01  # of the classifier's weights, as in mmdet's box heads


class FeatureHead(nn.Module):
    """Features ``[n, d]`` to scores ``[n, channels]``; the loss and the augmenter are the recipe's.

    ``augmenters`` has one for all processes, or where each keeps statistics of its own, one for each.

    Args:
        job: the run.
        dim: ``d``.
        processes: simulated.
    """

    def __init__(self, job: Job, dim: int, processes: int) -> None:
        super().__init__()
        register_all_modules()
        recipe = job.recipe
        manifest = read_manifest(job.data)
        config = ConfigDict(loss_cls={"type": "CrossEntropyLoss"}, cls_predictor_cfg={"type": "Linear"})
        instances, images, _ = (str(list_path(job.data, name)) for name in LISTS)
        set_loss(config, recipe, manifest, instances, images)
        self.num_classes, self.processes = manifest.classes, processes
        self.loss_cls = MODELS.build(config.loss_cls)
        custom = getattr(self.loss_cls, "custom_cls_channels", False)
        channels = self.loss_cls.get_cls_channels(self.num_classes) if custom else self.num_classes + 1
        self.fc_cls = MODELS.build({**config.cls_predictor_cfg, "in_features": dim, "out_features": channels})
        nn.init.normal_(self.fc_cls.weight, std=FIRST_STD)
        if self.fc_cls.bias is not None:
            nn.init.zeros_(self.fc_cls.bias)
        if hasattr(self.loss_cls, "initialise"):
            self.loss_cls.initialise(self.fc_cls)
        context = TrainingContext(
            classifier=self.fc_cls,
            embed=partial(torch.flatten, start_dim=1),
            criterion=partial(virtual, self.loss_cls),
            class_counts=torch.tensor(manifest.instance_counts),
            feature_dim=dim,
        )
        chosen, where = recipe.augmenter, f"recipe '{recipe.name}'"
        number = processes if chosen.per_process_statistics else 1
        self.augmenters = nn.ModuleList(
            build_augmenter(chosen.name, chosen.options, context, where) for _ in range(number)
        )

    @property
    def augmented(self) -> bool:
        """Whether the augmenter adds a loss; the scale calls no other hook within a step."""
        return "loss" in self.augmenter.hooks()

    @property
    def augmenter(self) -> Augmenter:
        """The first process's, or that of all."""
        return self.of_processes()[0]

    def of_processes(self) -> list[Augmenter]:
        """The augmenter of all processes, or of each."""
        return cast(list[Augmenter], list(self.augmenters))

    def real_loss(self, features: Tensor, labels: Tensor, weights: Tensor, group_weights: Tensor | None) -> Tensor:
        """The loss, 0-d, of a step's regions ``[n, d]``, whose weights add up to about 1; of BAGS by its groups'."""
        scores = self.fc_cls(features)
        if isinstance(self.loss_cls, BalancedGroupSoftmax):
            assert group_weights is not None
            return grouped_loss(self.loss_cls, scores, labels, weights, group_weights)
        return self.loss_cls(scores, labels, weights, avg_factor=1.0)

    def joined_loss(self, real: Tensor, features: Tensor, labels: Tensor, process: Tensor) -> Tensor:
        """``real`` and the loss of virtual features, 0-d; each process has a mean of its own, and they are averaged.

        Args:
            real: the loss of real regions, 0-d.
            features: real ones ``[n, d]`` that augmenters see.
            labels: theirs ``[n]``.
            process: whose they are ``[n]``.
        """
        scores = self.fc_cls(features) if self.augmenter.needs_scores else features[:, :0]
        batch = Batch(features[:, :, None, None], features, scores, labels)
        nothing = Batch(*(part[:0] for part in batch))
        added = []
        for number, augmenter in enumerate(self.of_processes()):
            of_process = process == number
            own = batch if len(self.augmenters) == 1 else Batch(*(part[of_process] for part in batch))
            # The first call sees regions; the others draw features alone.
            calls = [own, *[nothing] * (self.processes // len(self.augmenters) - 1)]
            added += [augmenter.loss(each) for each in calls]
        weight = torch.tensor(SAMPLED)
        return torch.stack([total_loss(real, weight, each) for each in added]).mean()

    def share_adaptation(self) -> None:
        """Give every process the first one's probabilities and groups, as data parallelism does."""
        first = dict(self.augmenter.named_buffers())
        for other in self.of_processes()[1:]:
            for name, buffer in other.named_buffers():
                if name.rpartition(".")[2] in ("probabilities", "groups"):
                    buffer.copy_(first[name])


def grouped_loss(
    loss: BalancedGroupSoftmax, scores: Tensor, labels: Tensor, weights: Tensor, group_weights: Tensor
) -> Tensor:
    """The loss of BAGS, 0-d, where regions stand for different numbers of others; of equal weights it is its own mean.

    A group of classes keeps its own regions and so many others by number, as ever; within each of the two the weights
    decide. In the last group, of foreground and background, they decide of all.

    Args:
        group_weights: of each group of classes ``[G - 1]``: a detector's steps seldom have the rarest.
    """
    losses, own = loss.group_losses(scores, labels)
    others = loss.keep(own, ~own) & ~own

    def mean(part: Tensor) -> Tensor:
        total = weights.where(part, 0).sum(1)
        return (losses * weights).where(part, 0).sum(1) / total.where(total > 0, 1)

    numbers = own.sum(1), others.sum(1)
    groups = (mean(own) * numbers[0] + mean(others) * numbers[1]) / (numbers[0] + numbers[1]).clamp(min=1)
    return (groups[:-1] * group_weights).sum() + mean(own | others)[-1]
