"""The training of one run: everything on one device, one loop of one screen, resumable between any two epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from fasa.augmenters.base import Augmenter, Batch, ImageContext, Targets, Validation, build_augmenter
from fasa.datasets import LongTailDataset
from fasa.errors import UserError
from fasa.method.virtual_loss import total_loss
from fasa.tasks import checkpoint, weights
from fasa.tasks.attempts import and_this, device_name
from fasa.tasks.classification.augment import Images
from fasa.tasks.classification.classifier import Classifier
from fasa.tasks.classification.graphs import GraphedStep
from fasa.tasks.classification.losses import Criterion, target_sums
from fasa.tasks.classification.recipe import ClassificationRecipe
from fasa.tasks.classification.scale import ClassificationScale
from fasa.tasks.heartbeat import Heartbeat
from fasa.tasks.lease import lease
from fasa.tasks.task import Job
from fasa.tasks.termination import Terminated


class Training:
    """A run in training.

    Args:
        job: the run.
        dataset: the data of the recipe.
        device: where everything lives.
    """

    def __init__(self, job: Job, dataset: LongTailDataset, device: torch.device) -> None:
        self.job, self.device = job, device
        self.name, self.seed = job.run.recipe, job.run.seed
        self.recipe: ClassificationRecipe = job.recipe
        self.scale: ClassificationScale = job.scale
        recipe, schedule = self.recipe, self.recipe.schedule
        self.counts = torch.as_tensor(dataset.class_counts, device=device)
        self.train = self._images(dataset, dataset.train_images)
        self.labels = torch.as_tensor(dataset.train_labels, device=device)
        self.test = self._images(dataset, dataset.test_images), torch.as_tensor(dataset.test_labels, device=device)
        held_out = self._images(dataset, dataset.heldout_images), torch.as_tensor(dataset.heldout_labels, device=device)
        sources = {"heldout": held_out, "test": self.test, "train": (self.train, self.labels)}
        self.held_out = sources[recipe.validation]

        torch.manual_seed(self.seed)  # the weights' first values; all later chance is the generator's
        self.generator = torch.Generator(device).manual_seed(self.seed)
        self.classifier = self._classifier(job)
        if recipe.start_from:
            weights.load(job.needed[recipe.start_from], self.classifier)
        if recipe.freeze:
            self.classifier.network.requires_grad_(False)
        self.criterion = Criterion(self.counts, **recipe.loss.model_dump()).to(device)
        self.augmenter = self._augmenter().to(device)
        self.optimiser = torch.optim.SGD(
            [p for p in (*self.classifier.parameters(), *self.augmenter.parameters()) if p.requires_grad],
            lr=schedule.lr,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
        )
        self.step: Callable[[Tensor], None] = self._step
        if device.type == "cuda" and self.augmenter.graphable:
            self.step = GraphedStep(self._step, self.generator, lambda: self.optimiser.param_groups[0]["lr"])
        self.total_loss = torch.zeros((), device=device)
        self.epoch, self.seconds = 0, 0.0
        self.history: dict[str, list[Any]] = {}
        self.attempts: list[dict[str, Any]] = []

    # ------------------------------------------------------------------------------------------------ the loop
    def run(self, told_to_stop: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Train to the end, giving the number of finished epochs after each step; resumes where a kill left it.

        Args:
            told_to_stop: asked after each epoch, when all that a training is can be saved.

        Raises:
            UserError: the loss is no longer finite, or the checkpoint belongs to another recipe.
            Terminated: it was told to stop, and has saved.
        """
        with lease(self.job.checkpoints) as self.held:
            self._resume()
            if self.epoch < self.recipe.schedule.epochs:
                self.attempts = and_this(self.attempts, self.job, self.epoch, self.device)
            started = saved = time.monotonic()
            heart = Heartbeat(self.job, self.recipe.schedule.epochs)
            while self.epoch < self.recipe.schedule.epochs:
                batches = self._begin_epoch()
                for done, indices in enumerate(batches, 1):
                    self.step(indices)
                    heart.beat(self.epoch + done / len(batches), self._last_loss(), self._seconds_since(started))
                    yield self.epoch
                self._end_epoch(len(batches))
                now = time.monotonic()
                leaves = told_to_stop() and self.epoch < self.recipe.schedule.epochs
                if leaves or now - saved >= self.scale.checkpoint_seconds:
                    self._save(self._seconds_since(started))
                    saved = time.monotonic()
                if leaves:
                    raise Terminated
            self.seconds = self._seconds_since(started)
            heart.beat(self.epoch, self._last_loss(), self.seconds)
            self._finish()

    def _seconds_since(self, started: float) -> float:
        return self.seconds + time.monotonic() - started

    def _last_loss(self) -> float | None:
        """Of the last whole epoch: to look at this one's would wait for the device."""
        return self.history["train_loss"][-1] if self.history else None

    def _begin_epoch(self) -> list[Tensor]:
        """Set the epoch's rate and class weights; the batches' indices in their random order."""
        schedule, n = self.recipe.schedule, len(self.train)
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.lr_of(self.epoch)
        self.criterion.begin_epoch(self.epoch)
        self.augmenter.begin_epoch(self.epoch)
        self.classifier.train()
        if self.recipe.freeze:
            self.classifier.network.eval()
        self.augmenter.train()
        self.total_loss.zero_()
        passes = math.ceil((schedule.epoch_length or 0) * schedule.batch_size / n) or 1
        order = torch.cat([torch.randperm(n, generator=self.generator, device=self.device) for _ in range(passes)])
        batches = list(order.split(schedule.batch_size))
        if schedule.epoch_length:
            return batches[: schedule.epoch_length]
        short = len(batches[-1]) < schedule.batch_size and len(batches) > 1
        return batches[:-1] if schedule.drop_last and short else batches

    def _step(self, indices: Tensor) -> None:
        """One optimiser step; nothing in it waits for the device."""
        head = self.classifier.head
        indices = self.augmenter.select(indices)
        images, labels = self.augmenter.images(self.train.cropped(indices, self.generator), self.labels[indices])
        targets = Targets.of(labels)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.scale.precision == "bf16"):
            maps = self.classifier.network(self.train.normalised(images))
        maps = maps.float()
        features = maps.mean((2, 3))
        batch = Batch(maps, features, head(features), targets.labels)
        scores, labels = self.augmenter.mix(batch) or (batch.scores, targets)
        total, weight = target_sums(self.criterion, scores, Targets.of(labels))
        loss = total / weight
        added = self.augmenter.loss(batch)
        head.observe(features)
        self.optimiser.zero_grad(set_to_none=True)
        total_loss(loss, weight, added).backward()
        self.optimiser.step()
        self.total_loss += loss.detach()

    def _end_epoch(self, steps: int) -> None:
        """Adapt the augmenter and write the epoch into the history."""
        train_loss = float(self.total_loss) / steps
        self._refuse_infinite("training", train_loss)
        self.classifier.eval()
        validation: list[Validation] = []

        def validate() -> Validation:
            if not len(self.held_out[1]):
                raise UserError(
                    f"recipe '{self.name}' adapts on held-out images and has none; raise data.heldout_per_class."
                )
            validation.append(self._evaluate(*self.held_out))
            return validation[-1]

        entry = {"train_loss": train_loss, **self.augmenter.end_epoch(validate)}
        entry["validation_loss"] = None
        if validation:
            entry["validation_loss"] = float(validation[0].loss.sum() / validation[0].count.sum())
            self._refuse_infinite("validation", entry["validation_loss"])
        last = self.epoch + 1 == self.recipe.schedule.epochs
        look = last or (self.epoch + 1) % self.scale.evaluate_every == 0
        tested = self._evaluate(*self.test) if look else None
        entry["accuracy"] = float(tested.correct.sum() / tested.count.sum()) if tested else None
        for key, value in entry.items():
            self.history.setdefault(key, []).append(value)
        self.epoch += 1

    def _refuse_infinite(self, which: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"recipe '{self.name}', seed {self.seed}: the {which} loss is {loss} in epoch {self.epoch}; "
                "lower schedule.lr or lengthen schedule.warmup."
            )

    @torch.no_grad()
    def _evaluate(self, images: Images, labels: Tensor) -> Validation:
        """Per-class sums of loss and hits over ``images``, uncropped, with the logits that would be deployed."""
        sums = torch.zeros(3, len(self.counts), device=self.device)
        for indices, inputs in images.batches():
            logits = self.classifier(inputs)
            true = labels[indices]
            loss, hits = self.criterion.validation(logits, true), (logits.argmax(1) == true).float()
            sums.index_add_(1, true, torch.stack([loss, hits, torch.ones_like(hits)]))
        return Validation(*sums)

    # ----------------------------------------------------------------------------------------- state and files
    def _resume(self) -> None:
        state = checkpoint.newest_checkpoint(self.job)
        if state is None:
            return
        kind = state.get("device", self.device.type)
        if kind != self.device.type:
            raise UserError(
                f"{self.job.checkpoints} is of a training on {kind}, whose random numbers are others than those of "
                f"{self.device.type}: go on with --device {kind}, or delete it to train from the start."
            )
        self.classifier.load_state_dict(state["classifier"])
        self.augmenter.load_state_dict(state["augmenter"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.epoch, self.seconds, self.history = state["epoch"], state["seconds"], state["history"]
        self.attempts = state.get("attempts", [])  # an older checkpoint has none

    def _save(self, seconds: float) -> None:
        self.held.check()
        state = {
            "classifier": self.classifier.state_dict(),
            "augmenter": self.augmenter.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "device": self.device.type,
            "epoch": self.epoch,
            "seconds": seconds,
            "history": self.history,
            "attempts": self.attempts,
        }
        checkpoint.save_checkpoint(self.job, self.epoch, state)

    def _finish(self) -> None:
        """Keep the end as a checkpoint, so that a lost file below costs nothing; the weights come last."""
        self._save(self.seconds)
        cost = {
            "device": device_name(self.device),
            "device_seconds": round(self.seconds, 1),
            "threads": torch.get_num_threads(),
            "attempts": self.attempts,
        }
        weights.leave(self.job, self.classifier, cost, self.history)

    # ------------------------------------------------------------------------------------------------- set-up
    def _images(self, dataset: LongTailDataset, images: Any) -> Images:
        tensor = torch.as_tensor(images, device=self.device)
        return Images(tensor, dataset.mean, dataset.std, dataset.pad, dataset.flip)

    def _classifier(self, job: Job) -> Classifier:
        made = Classifier(job.recipe, len(self.counts), self.scale.backbones.get(job.recipe.backbone, {}))
        return made.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub

    def _teacher(self) -> Classifier | None:
        if self.recipe.teacher is None:
            return None
        job = self.job.needed[self.recipe.teacher]
        teacher = self._classifier(job)
        weights.load(job, teacher)
        return teacher.eval().requires_grad_(False)

    def _augmenter(self) -> Augmenter:
        context = ImageContext(
            classifier=self.classifier.head,
            embed=lambda maps: maps.mean((2, 3)),
            criterion=self.criterion,
            class_counts=self.counts,
            feature_dim=self.classifier.network.feature_dim,
            generator=self.generator,
            network=self.classifier.network,
            normalise=self.train.normalised,
            load_images=self.train.centred,
            labels=self.labels,
            batch_size=self.recipe.schedule.batch_size,
            class_weights=self.classifier.head.class_weights(),
            unweighted_criterion=self.criterion.validation,
            teacher=self._teacher(),
        )
        chosen = self.recipe.augmenter
        return build_augmenter(chosen.name, chosen.options, context, f"recipe '{self.name}'")
