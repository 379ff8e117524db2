"""The training of a classifier on fixed features: a detector's step without its images, resumable between epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fasa.augmenters.base import Validation
from fasa.datasets.lvis_counts import Pairs, read_pairs
from fasa.datasets.manifest import check_files, read_manifest
from fasa.errors import UserError
from fasa.mmdet.losses.bags import BalancedGroupSoftmax
from fasa.mmdet.seeding import mixed_seed
from fasa.mmdet.validation_loss import RoIValidation, evaluating
from fasa.tasks import checkpoint, weights
from fasa.tasks.attempts import and_this
from fasa.tasks.features.geometry import FOREGROUND, Geometry
from fasa.tasks.features.head import FeatureHead
from fasa.tasks.features.recipe import FeaturesRecipe
from fasa.tasks.features.regions import HeldOut, Step, TrainingImages, held_out, repeat_factors
from fasa.tasks.features.scale import FeaturesScale
from fasa.tasks.features.space import Features
from fasa.tasks.heartbeat import Heartbeat
from fasa.tasks.lease import lease
from fasa.tasks.task import Job
from fasa.tasks.termination import Terminated

HEAD = "bbox_head"  # as histories of detectors call it


class Training:
    """A run in training, or trained.

    Args:
        job: the run.

    Raises:
        UserError: the data was not prepared.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.seed = job, job.run.seed
        self.recipe: FeaturesRecipe = job.recipe
        self.scale: FeaturesScale = job.scale
        self.manifest = read_manifest(job.data)
        check_files(job.data)
        self.pairs: dict[str, Pairs] = read_pairs(self.manifest)
        self.letters = np.array(self.manifest.frequencies)
        instances = np.array(self.manifest.instance_counts)
        self.features = Features(Geometry(**self.scale.geometry), instances, self.seed)
        torch.manual_seed(mixed_seed(self.seed, "weights"))
        self.head = FeatureHead(job, self.features.geometry.dim, self.scale.processes)
        schedule = self.recipe.schedule
        self.optimiser = torch.optim.SGD(
            [*self.head.fc_cls.parameters(), *self.head.augmenters.parameters()],
            lr=schedule.lr,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
        )
        self.epoch, self.seconds = 0, 0.0
        self.history: list[dict[str, Any]] = []
        self.attempts: list[dict[str, Any]] = []

    @cached_property
    def images(self) -> TrainingImages:
        """The training images, drawn as the recipe says."""
        train = self.pairs["train"]
        repeats = np.ones(train.images)
        if self.recipe.sampler == "repeat_factor":
            repeats = repeat_factors(train, self.manifest.repeat_threshold)
        batch = min(self.recipe.schedule.batch_size, train.images)
        return TrainingImages(
            train,
            np.ceil(repeats).astype(int),
            batch,
            self.scale.processes,
            len(self.head.augmenters) > 1,
            self.scale.objects_per_class,
            self.seed,
        )

    @cached_property
    def group_weights(self) -> Tensor | None:
        """What each of BAGS' groups of classes counts in a step; None with another loss."""
        loss = self.head.loss_cls
        if not isinstance(loss, BalancedGroupSoftmax):
            return None
        return torch.as_tensor(self.images.group_weights(loss.group[:-1].numpy()), dtype=torch.float32)

    @cached_property
    def watched(self) -> HeldOut:
        """The held-out regions that adaptation looks at."""
        return self.held_out(self.recipe.validation, "watched")

    def held_out(self, validation: str, purpose: str) -> HeldOut:
        """Regions of held-out images: all of them ("original"), each as often as repeat factor sampling shows it
        ("resampled"), or those with a rare or common object ("balanced"); another purpose has others."""
        pairs = self.pairs["val"]
        weight: np.ndarray = np.ones(pairs.images)
        if validation == "resampled":
            weight = np.ceil(repeat_factors(pairs, self.manifest.repeat_threshold))
        elif validation == "balanced":
            weight = np.bincount(pairs.image, self.letters[pairs.label] != "f", pairs.images).clip(max=1)
        return held_out(pairs, weight, self.features, self.scale.held_out, purpose)

    # ------------------------------------------------------------------------------------------------ the loop
    def run(self, told_to_stop: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Train to the end, giving the number of finished epochs after each; resumes where a kill left it.

        Args:
            told_to_stop: asked after each epoch.

        Raises:
            UserError: the loss is no longer finite, or the checkpoint belongs to another recipe.
            Terminated: it was told to stop, and has saved.
        """
        torch.set_num_threads(self.scale.threads)
        epochs = self.recipe.schedule.epochs
        with lease(self.job.checkpoints) as self.held:
            self._resume()
            if self.epoch < epochs:
                self.attempts = and_this(self.attempts, self.job, self.epoch, torch.device("cpu"))
            heart = Heartbeat(self.job, epochs)
            before, started = self.seconds, time.monotonic()
            while self.epoch < epochs:
                loss = self._train_epoch()
                self.history.append(self._end_epoch(loss))
                self.epoch += 1
                self.seconds = before + time.monotonic() - started
                self._save()
                heart.beat(self.epoch, loss, self.seconds)
                yield self.epoch
                if told_to_stop() and self.epoch < epochs:
                    raise Terminated
            self._finish()

    def _train_epoch(self) -> float:
        """One epoch; its mean loss. All its chance follows from the run's seed and the epoch."""
        torch.manual_seed(mixed_seed(self.seed, "virtual features", self.epoch))
        self.features.draw("regions", self.epoch)
        self.head.train()
        for augmenter in self.head.of_processes():
            augmenter.begin_epoch(self.epoch)
        total = torch.zeros(())
        for number, step in enumerate(self.images.epoch(self.epoch)):
            self._set_rate(self.epoch * self.images.steps + number)
            total += self._step(step)
        mean = float(total) / self.images.steps
        if not math.isfinite(mean):
            raise UserError(
                f"{self.job}: the loss is {mean} in epoch {self.epoch + 1}; lower the rate or lengthen the warm-up."
            )
        return mean

    def _set_rate(self, iteration: int) -> None:
        schedule = self.recipe.schedule
        warm = min(1.0, 1e-3 + iteration / schedule.warmup) if schedule.warmup else 1.0
        dropped = 0.1 ** sum(milestone <= self.epoch for milestone in schedule.milestones)
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.lr * warm * dropped
        self.features.at(iteration / (schedule.epochs * self.images.steps))

    def _step(self, step: Step) -> Tensor:
        background, seen = self.scale.background, step.observed
        beside = torch.multinomial(self.images.share, background, replacement=True, generator=self.features.generator)
        features = torch.cat([self.features.of_objects(step.labels, step.objects), self.features.of_background(beside)])
        labels = torch.cat([step.labels, torch.full((background,), self.head.num_classes)])
        weights = torch.cat([step.weights, torch.full((background,), (1 - FOREGROUND) / background)])
        loss = self.head.real_loss(features, labels, weights, self.group_weights)
        if self.head.augmented:
            observed = self.features.of_objects(seen.labels, seen.objects)
            loss = self.head.joined_loss(loss, observed, seen.labels, seen.process)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _end_epoch(self, loss: float) -> dict[str, Any]:
        """Adapt the augmenters; the epoch's line of the history."""
        self.features.at((self.epoch + 1) / self.recipe.schedule.epochs)
        found: list[RoIValidation] = []

        def validate() -> Validation:
            if not found:
                found.append(self.validate(self.watched))
            return found[0]

        entries = [augmenter.end_epoch(validate) for augmenter in self.head.of_processes()]
        self.head.share_adaptation()
        report = found[0].means() if found else {}
        iterations = self.images.steps * self.scale.processes  # each draws features of its own
        head = {**entries[0], **report}
        return {"epoch": self.epoch + 1, "iterations": iterations, "seconds": None, "loss": loss, "heads": {HEAD: head}}

    @torch.no_grad()
    def validate(self, regions: HeldOut) -> RoIValidation:
        """Sums of each class over held-out regions."""
        sums = RoIValidation.zeros(self.head.num_classes, torch.device("cpu"))
        with evaluating(self.head):
            for features, labels, weights in zip(*(part.split(4096) for part in regions), strict=True):
                sums.add(self.head.loss_cls, self.head.fc_cls(features), labels, weights)
        return sums

    # ----------------------------------------------------------------------------------------- state and files
    def _resume(self) -> None:
        state = checkpoint.newest_checkpoint(self.job)
        if state is None:
            return
        self.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.seconds, self.history = state["epoch"], state["seconds"], state["history"]
        self.attempts = state.get("attempts", [])  # an older checkpoint has none

    def _save(self) -> None:
        self.held.check()
        state = {
            "head": self.head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "history": self.history,
            "attempts": self.attempts,
        }
        checkpoint.save_checkpoint(self.job, self.epoch, state)

    def _finish(self) -> None:
        """Leave the history, the cost and, last, the weights."""
        cost = {
            "device": "cpu",
            "device_seconds": round(self.seconds, 1),
            "threads": torch.get_num_threads(),
            "attempts": self.attempts,
        }
        self.held.check()
        weights.leave(self.job, self.head, cost, self.history)
