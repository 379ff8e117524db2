"""The end of an epoch: validation loss of each class, adaptation of the augmenters, history (section 3.2)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import HOOKS
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from fasa import atomic
from fasa.augmenters.base import Augmenter
from fasa.errors import UserError
from fasa.mmdet.validation_loss import RoIValidation, ValidationLoss, stages

KEY = "adaptation_history"  # in checkpoints
ANEW = "delete its folder to train from the start"
SAMPLER = {"type": "DefaultSampler", "shuffle": False, "round_up": False}  # every image once, over all processes


@HOOKS.register_module()
class AdaptationHook(Hook):
    """After each epoch of training, before its checkpoint: adapt the augmenters of the box heads, write the history.

    Useful by itself: without any augmenter it logs the validation loss of each class, which mmdet 3.x does not have.

    A line of the history holds ``epoch`` (trained so far), ``seconds`` of the validation pass and what the augmenters
    made of it (null without a pass), and ``heads``: for each box head what its augmenter reports (FASA: the
    ``probabilities`` used in the epoch and the new ``groups``) and, if validated, ``validation_loss`` (mean),
    ``validation_count`` (RoIs), ``accuracy`` and ``true_class_probability`` of each class, background last; null where
    a class has no RoI. ``val_loss`` (mean over all RoIs) and ``val_loss_class_mean`` (mean over classes, background
    left out) go into mmengine's log.

    Args:
        dataloader: mmengine's config of the held-out data, its data set built with ``test_mode=False``; None for none.
            Its sampler defaults to every image once, in order. The pass runs if an augmenter asks for it, or where none
            acts at the end of an epoch.
        seed: of the pass's random numbers, the same each epoch.
        history: file in the work folder, one line of JSON an epoch. Checkpoints hold the lines, too; a training goes on
            from theirs.
    """

    priority = "LOW"  # after whatever else ends the epoch, before the checkpoint hook (VERY_LOW)

    def __init__(
        self,
        dataloader: dict[str, Any] | DataLoader | None = None,
        seed: int = 0,
        history: str = "history.jsonl",
    ) -> None:
        self.config, self.seed, self.history = dataloader, seed, history
        self.lines: list[dict[str, Any]] = []
        self._dataloader: DataLoader | None = None

    def before_train(self, runner: Runner) -> None:
        """Build the held-out data now: a mistake in its config should not wait for the end of an epoch.

        Raises:
            UserError: no epochs, no two-stage detector, or data without ground truth or of other classes.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise UserError("AdaptationHook adapts after epochs; set by_epoch=True in train_cfg.")
        detector = unwrapped(runner)
        if not isinstance(detector, TwoStageDetector):
            raise UserError(f"AdaptationHook needs a two-stage detector, not {type(detector).__name__}; remove it.")
        for stage in stages(detector):
            stage.head.uncalled = getattr(stage.head, "uncalled", frozenset()) - {"begin_epoch", "end_epoch"}
        if self.config is not None:
            config = self.config
            if isinstance(config, dict) and "batch_sampler" not in config:
                config = {"sampler": SAMPLER, **config}
            self._dataloader = runner.build_dataloader(config, seed=runner.seed)
            _check(self._dataloader.dataset, stages(detector)[0].head.num_classes)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if not runner._resume or not is_main_process():
            return
        path = Path(runner.work_dir) / self.history
        if KEY in checkpoint:
            self.lines = checkpoint[KEY]
            write_history(path, self.lines)
        elif path.exists():  # the checkpoint is of before it had a history
            self.lines = [line for line in read_history(path) if line["epoch"] <= checkpoint["meta"]["epoch"]]

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = self.lines

    def before_train_epoch(self, runner: Runner) -> None:
        for _, augmenter in augmenters(runner):
            augmenter.begin_epoch(runner.epoch)

    def after_train_epoch(self, runner: Runner) -> None:
        start = time.perf_counter()
        held_out = _Once(partial(self._validate, runner))
        entries: dict[str, dict[str, Any]] = {stage.name: {} for stage in stages(unwrapped(runner))}
        heads = list(entries)
        decides = False  # an augmenter, whether to look at the held-out images
        for name, augmenter in augmenters(runner):
            entries[name].update(augmenter.end_epoch(partial(held_out.entry, heads.index(name))))
            decides |= "end_epoch" in augmenter.hooks()
        if self._dataloader is not None and not decides:
            held_out.run()
        if held_out.sums is not None:
            # The augmenters add up the processes' sums by themselves.
            for number, (name, sums) in enumerate(zip(heads, held_out.sums, strict=True)):
                entries[name].update(self._report(runner, sums.over_processes(), number if len(heads) > 1 else None))
        if is_main_process():
            seconds = None if held_out.sums is None else round(time.perf_counter() - start, 3)
            micro_batches = getattr(runner.train_loop, "micro_batches", 1)  # each draws features of its own
            iterations = len(runner.train_dataloader) * micro_batches * get_world_size()
            line = {"epoch": runner.epoch + 1, "iterations": iterations, "seconds": seconds, "heads": entries}
            self.lines.append(line)
            write_history(Path(runner.work_dir) / self.history, self.lines)

    def _validate(self, runner: Runner) -> list[RoIValidation]:
        if self._dataloader is None:
            raise UserError(
                "An augmenter of a box head adapts to the validation loss; give AdaptationHook a dataloader, or set "
                "the augmenter's option adaptive=False."
            )
        detector = unwrapped(runner)
        return ValidationLoss(detector, self._dataloader, self.seed, precision(runner, detector))()

    def _report(self, runner: Runner, sums: RoIValidation, number: int | None) -> dict[str, list]:
        seen = sums.count > 0
        if not seen.any():
            raise UserError("The dataloader of AdaptationHook gave no image with a single RoI; check its data set.")
        mean = sums.loss / sums.count
        foreground = mean[:-1][seen[:-1]]
        suffix = "" if number is None else f".{number}"
        scalars = {f"val_loss{suffix}": float(sums.loss.sum() / sums.count.sum())}
        if len(foreground):
            scalars[f"val_loss_class_mean{suffix}"] = float(foreground.mean())
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f"val/{name}", value)
        runner.visualizer.add_scalars(scalars, step=runner.epoch + 1)
        text = "  ".join(f"{name}: {value:.4f}" for name, value in scalars.items())
        runner.logger.info(f"Epoch(validation loss) [{runner.epoch + 1}]  {text}  classes seen: {len(foreground)}")
        return sums.means()


class _Once:
    """A validation pass that runs when first asked for, and only once, however many heads ask."""

    def __init__(self, run: Callable[[], list[RoIValidation]]) -> None:
        self._run = run
        self.sums: list[RoIValidation] | None = None

    def run(self) -> list[RoIValidation]:
        if self.sums is None:
            self.sums = self._run()
        return self.sums

    def entry(self, head: int) -> RoIValidation:
        return self.run()[head]


def unwrapped(runner: Runner) -> Any:
    """The runner's detector without its wrapper for data parallelism."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def augmenters(runner: Runner) -> Iterator[tuple[str, Augmenter]]:
    """The augmenters of the detector's box heads, with the heads' names; none for a head without."""

    for stage in stages(unwrapped(runner)):
        augmenter = getattr(stage.head, "augmenter", None)
        if augmenter is not None:
            yield stage.name, augmenter


def precision(runner: Runner, detector: torch.nn.Module) -> Callable[[], AbstractContextManager]:
    """The precision that the runner trains with, as a context."""
    if not isinstance(runner.optim_wrapper, AmpOptimWrapper):
        return nullcontext
    device = next(detector.parameters()).device.type
    return partial(torch.autocast, device, dtype=runner.optim_wrapper.cast_dtype)


def write_history(path: Path, lines: list[dict[str, Any]]) -> None:
    """Write ``lines``, one an epoch, atomically."""
    atomic.write_text(path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of a history, by epoch.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        lines = [json.loads(text) for text in path.read_text().splitlines()]
        [line["epoch"] + 0 for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is missing or damaged; {ANEW}.") from error
    return lines


def _check(dataset: Any, classes: int) -> None:
    inner = dataset
    while inner is not None:
        if getattr(inner, "test_mode", False):
            raise UserError(
                "dataloader.dataset of AdaptationHook has test_mode=True, which gives no ground truth; set it to False."
            )
        inner = getattr(inner, "dataset", None)
    names = (getattr(dataset, "metainfo", None) or {}).get("classes")
    if names is not None and len(names) != classes:
        raise UserError(
            f"dataloader.dataset of AdaptationHook has {len(names)} classes but num_classes of the box head is "
            f"{classes}; make them agree."
        )
