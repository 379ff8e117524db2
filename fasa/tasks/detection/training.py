"""The training of one detector: mmengine's Runner on the recipe's config, resumed where a kill left it."""

from __future__ import annotations

import errno
import logging
import sys
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from fasa.datasets.manifest import check_files
from fasa.errors import UserError
from fasa.mmdet.adaptation_hook import unwrapped
from fasa.mmdet.checkpoints import WHOLE, newest, resumed_by_mmengine
from fasa.tasks import weights
from fasa.tasks.attempts import device_name
from fasa.tasks.detection import pretraining, published_weights
from fasa.tasks.detection.bookkeeping import BookkeepingHook, history
from fasa.tasks.detection.configs import build, in_micro_batches
from fasa.tasks.heartbeat import Heartbeat
from fasa.tasks.lease import Lease, lease
from fasa.tasks.processes import launch, lost_workers_told, processes_for
from fasa.tasks.task import Job

# mmengine's own, but for processors, which have no numbers
CPU_WRAPPER = {"type": "MMDistributedDataParallel", "device_ids": None, "broadcast_buffers": False}


def train(job: Job) -> None:
    """Train a run to its end and leave ``cost.json``, ``history.json`` and, last, ``model.pt`` in its work folder.

    Where the scale wants several devices there is a process for each GPU, and each does the work of as many devices as
    are lacking; batch and rate stay.

    Raises:
        UserError: the data is not prepared, a checkpoint is another recipe's, the loss is no longer finite, a process
            or a data worker was killed, or a device is lacking whose own statistics matter.
    """
    recipe, devices = job.recipe, job.scale.devices
    with lease(job.checkpoints) as held:
        check_files(job.data)
        if job.first_weights:
            (pretraining if job.scale.pretraining else published_weights).check(job)
        resume = newest(job.checkpoints)
        if resume is None and recipe.start_from:
            stage_one = job.needed[recipe.start_from]
            weights.check(stage_one)
        processes = processes_for(devices)
        if processes < devices:
            if recipe.augmenter.per_process_statistics:
                raise UserError(
                    f"{job.run.recipe} keeps statistics of each of {devices} devices, and {processes} "
                    f"{'is' if processes == 1 else 'are'} there; train it where all are."
                )
            print(
                f"fasa: {job}: {processes} of {devices} devices are there; each does the "
                f"work of {devices // processes}, with the same batch and rate.",
                file=sys.stderr,
            )
        if processes == 1:
            train_here(job, resume, 1, held)
        else:
            launch(processes, train_here, job, resume, processes, held)


def train_here(job: Job, resume: Path | None, processes: int, held: Lease) -> None:
    """This process's part of a training by ``processes``, from the checkpoint ``resume`` on; the first writes files."""
    torch.set_num_threads(max(1, job.scale.threads // processes))
    checkpoints, devices = job.checkpoints, job.scale.devices
    config = build(job, checkpoints)
    config.log_level = "WARNING"
    config.default_hooks.checkpoint.backend_args = {"backend": WHOLE}
    if resume is not None:
        config.resume, config.load_from = True, resumed_by_mmengine(resume)
    if devices > 1:
        in_micro_batches(config, devices // processes)
    if processes > 1:
        config.launcher = "pytorch"
        if not torch.cuda.is_available():
            config.model_wrapper_cfg = dict(CPU_WRAPPER)
    _quiet()
    heartbeat = Heartbeat(job, job.recipe.schedule.epochs) if is_main_process() else None
    bookkeeping = BookkeepingHook(job, held, heartbeat)
    try:
        runner = Runner.from_cfg(config)
        runner.register_hook(bookkeeping)
        with lost_workers_told():
            runner.train()
    except OSError as error:
        raise _told(error, checkpoints) from error
    if not is_main_process():
        return
    detector = unwrapped(runner)
    cost = {
        "device": device_name(next(detector.parameters()).device),
        "devices": processes,
        "device_seconds": round(bookkeeping.seconds, 1),
        "threads": torch.get_num_threads(),
        "iterations": bookkeeping.iterations.measured(),
        "attempts": bookkeeping.attempts,
    }
    held.check()
    weights.leave(job, detector, cost, history(runner) or [])


def _told(error: OSError, folder: Path) -> UserError:
    """In a sentence, what mmengine met on a disk: of ``folder``, its logs; of the data, an image."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"{folder} cannot be written ({error.strerror}): free some space and train again.")
    missing = error.filename or str(error).strip().splitlines()[-1]  # a data worker's error has lost its file
    return UserError(f"{missing} cannot be read; make the data's disk available and train again.")


def dump_config(job: Job) -> str:
    """The whole MMDetection config of a run, as the text of a Python file that mmdet's own tools take."""
    return Config(build(job).to_dict()).pretty_text


def _quiet() -> None:
    """Leave what mmengine says on INFO out of the log; warnings stay."""
    for name in ("mmengine", "mmdet"):
        logging.getLogger(name).setLevel(logging.WARNING)


def trained_detector(job: Job) -> tuple[nn.Module, DataLoader, DataLoader]:
    """The finished run's detector, on the device there is, its test images, and the same by the training pipeline.

    Raises:
        UserError: the run is not trained, or by an older recipe.
    """
    if not job.weights.exists():
        raise UserError(f"{job} is not trained; run: fasa train {job.run.recipe} --seed {job.run.seed}")
    torch.set_num_threads(job.scale.threads)
    _quiet()
    register_all_modules()
    config = build(job)
    config.model.pop("stage_one", None)  # the file has all the weights
    detector = MODELS.build(config.model)
    weights.load(job, detector)
    images, heldout = map(Runner.build_dataloader, (config.test_dataloader, config.heldout_dataloader))
    return detector.to(get_device()), images, heldout
