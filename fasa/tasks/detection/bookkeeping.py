"""What a checkpoint says beside mmengine's own: of which recipe it is, and what the training cost so far."""

from __future__ import annotations

import math
import time
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from fasa import atomic
from fasa.errors import UserError
from fasa.tasks.detection.iteration_cost import IterationCost
from fasa.tasks.heartbeat import Heartbeat

CHECK_EVERY = 20  # iterations between two looks at the loss, each of which waits for the device
COST_FILE = "iterations.json"


@HOOKS.register_module()
class BookkeepingHook(Hook):
    """Stamp checkpoints with a fingerprint and the cost of all attempts; stop at a loss that is not finite.

    The training's end leaves ``iterations.json`` (``IterationCost.measured``) in the work folder.

    Args:
        fingerprint: of the recipe (``Study.fingerprint``).
        heartbeat: is told where the training is; None in all processes but the first.

    Raises:
        UserError: the checkpoint to resume from is another recipe's, or the loss is NaN or infinite.
    """

    def __init__(self, fingerprint: str, heartbeat: Heartbeat | None = None) -> None:
        self.fingerprint, self.heartbeat = fingerprint, heartbeat
        self.loss: float | None = None  # as it was last looked at
        self.before, self._start = 0.0, time.monotonic()
        self.iterations = IterationCost()

    @property
    def seconds(self) -> float:
        """Device seconds of training so far, over all attempts and processes."""
        return self.before + (time.monotonic() - self._start) * get_world_size()

    def before_train(self, runner: Runner) -> None:
        self._start = time.monotonic()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        stamp = checkpoint.get("fasa", {})
        if stamp.get("fingerprint") != self.fingerprint:
            raise UserError(
                f"the checkpoint in {runner.work_dir} is of another version of this recipe; delete that folder to "
                "train from the start."
            )
        self.before = stamp["seconds"]
        self.iterations.load(stamp.get("iterations", {}))  # an older checkpoint has none

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint["fasa"] = {
            "fingerprint": self.fingerprint,
            "seconds": self.seconds,
            "iterations": self.iterations.state(),
        }

    def before_train_epoch(self, runner: Runner) -> None:
        if runner.epoch > 0:
            self.iterations.begin_epoch(next(runner.model.parameters()).device)

    def after_train_epoch(self, runner: Runner) -> None:
        if runner.epoch > 0:
            self.iterations.end_epoch()

    def after_train(self, runner: Runner) -> None:
        if is_main_process():
            atomic.write_json(Path(runner.work_dir) / COST_FILE, self.iterations.measured())

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
