"""What a checkpoint says beside mmengine's own: of which recipe it is, in which attempts and at what cost it came."""

from __future__ import annotations

import math
import time
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from fasa.errors import UserError
from fasa.mmdet.adaptation_hook import AdaptationHook
from fasa.tasks.attempts import and_this
from fasa.tasks.checkpoint import foreign
from fasa.tasks.detection.iteration_cost import IterationCost
from fasa.tasks.heartbeat import Heartbeat
from fasa.tasks.lease import Lease
from fasa.tasks.task import Job

CHECK_EVERY = 20  # iterations between two looks at the loss, each of which waits for the device


def history(runner: Runner) -> list[dict[str, Any]] | None:
    """The lines of the history so far; None where nothing happens at the end of an epoch."""
    return next((hook.lines for hook in runner.hooks if isinstance(hook, AdaptationHook)), None)


@HOOKS.register_module()
class BookkeepingHook(Hook):
    """Stamp checkpoints with a fingerprint, the attempts and their cost; stop at a loss that is not finite.

    Args:
        job: what is trained.
        held: its lease, looked at before each save.
        heartbeat: is told where the training is; None in all processes but the first.

    Raises:
        UserError: the checkpoint to resume from is another recipe's or lacks a part of the history, another process has
            the lease, or the loss is NaN or infinite.
    """

    def __init__(self, job: Job, held: Lease, heartbeat: Heartbeat | None = None) -> None:
        self.job, self.held, self.heartbeat = job, held, heartbeat
        self.attempts: list[dict[str, Any]] = []
        self.loss: float | None = None  # as it was last looked at
        self.before, self._start = 0.0, time.monotonic()
        self.iterations = IterationCost()

    @property
    def seconds(self) -> float:
        """Device seconds of training so far, over all attempts and processes."""
        return self.before + (time.monotonic() - self._start) * get_world_size()

    def before_train(self, runner: Runner) -> None:
        self._start = time.monotonic()
        if not is_main_process():
            return
        lines = history(runner)
        if lines is not None and len(lines) != runner.epoch:
            raise UserError(
                f"{runner.work_dir} has the history of {len(lines)} of {runner.epoch} trained epochs; delete that "
                "folder to train from the start."
            )
        if runner.epoch < runner.max_epochs:
            device = next(runner.model.parameters()).device
            self.attempts = and_this(self.attempts, self.job, runner.epoch, device, get_world_size())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        stamp = checkpoint.get("fasa", {})
        if other_run := foreign(stamp, self.job):
            told = f"the checkpoint in {runner.work_dir} is of another {other_run}"
            raise UserError(f"{told}; delete that folder to train from the start.")
        self.before = stamp["seconds"]
        self.iterations.load(stamp.get("iterations", {}))  # an older checkpoint has none, nor attempts
        self.attempts = stamp.get("attempts", [])

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.held.check()
        checkpoint["fasa"] = {
            "fingerprint": self.job.fingerprint,
            "seed": self.job.run.seed,
            "attempts": self.attempts,
            "seconds": self.seconds,
            "iterations": self.iterations.state(),
        }

    def before_train_epoch(self, runner: Runner) -> None:
        if runner.epoch > 0:
            self.iterations.begin_epoch(next(runner.model.parameters()).device)

    def after_train_epoch(self, runner: Runner) -> None:
        if runner.epoch > 0:
            self.iterations.end_epoch()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        if runner.epoch > 0:
            self.iterations.end_iteration()
        if outputs and (
            self.every_n_train_iters(runner, CHECK_EVERY) or self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            loss = outputs["loss"].item()
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss is {loss} at iteration {runner.iter + 1}; lower the rate or lengthen the warm-up."
                )
            self.loss = loss
        if self.heartbeat:
            done = (batch_idx + 1) / len(runner.train_dataloader)
            self.heartbeat.beat(runner.epoch + done, self.loss, self.seconds)
