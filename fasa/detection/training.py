"""The training of one detector: mmengine's Runner on the recipe's config, resumed where a kill left it."""

from __future__ import annotations

import logging

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from fasa import atomic
from fasa.detection import pretraining, weights
from fasa.detection.adaptation_hook import read_history, unwrapped
from fasa.detection.bookkeeping import BookkeepingHook
from fasa.detection.configs import build, validation_loader
from fasa.errors import UserError
from fasa.experiments import Run, Study
from fasa.lease import lease


def train(study: Study, run: Run) -> None:
    """Train ``run`` to its end and leave ``cost.json``, ``history.json`` and, last, ``model.pt`` in its work folder.

    Raises:
        UserError: the data is not prepared, a checkpoint is another recipe's, or the loss is no longer finite.
    """
    torch.set_num_threads(study.threads(run.recipe))
    folder, checkpoints = study.work_dir(run.recipe, run.seed), study.checkpoint_dir(run.recipe, run.seed)
    fingerprint, recipe = study.fingerprint(run.recipe), study.recipe(run.recipe)
    with lease(checkpoints):
        config = build(study, run.recipe, run.seed, checkpoints)
        if study.pretrained_path(run.recipe):
            pretraining.check(study, run.recipe)
        bookkeeping = BookkeepingHook(fingerprint)
        config.log_level = "WARNING"
        if (checkpoints / "last_checkpoint").exists():
            config.resume = True
        elif recipe.start_from:
            stage_one = study.work_dir(recipe.start_from, run.seed) / "model.pt"
            weights.check(stage_one, study.fingerprint(recipe.start_from))
        _quiet()
        runner = Runner.from_cfg(config)
        runner.register_hook(bookkeeping)
        runner.train()
        detector = unwrapped(runner)
        device = next(detector.parameters()).device
        cost = {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "device_seconds": round(bookkeeping.seconds, 1),
            "threads": torch.get_num_threads(),
            "fingerprint": fingerprint,
        }
        lines = checkpoints / "history.jsonl"
        atomic.write_json(folder / "cost.json", cost)
        atomic.write_json(folder / "history.json", read_history(lines) if lines.exists() else [])
        weights.save(folder / "model.pt", detector, fingerprint)


def dump_config(study: Study, run: Run) -> str:
    """The whole MMDetection config of a run, as the text of a Python file that mmdet's own tools take."""
    return Config(build(study, run.recipe, run.seed).to_dict()).pretty_text


def _quiet() -> None:
    """Leave what mmengine says on INFO out of the log; warnings stay."""
    for name in ("mmengine", "mmdet"):
        logging.getLogger(name).setLevel(logging.WARNING)


def trained_detector(study: Study, run: Run) -> tuple[nn.Module, DataLoader, DataLoader]:
    """The finished run's detector, on the device there is, its test images, and the same by the training pipeline.

    Raises:
        UserError: the run is not trained, or by an older recipe.
    """
    path = study.work_dir(run.recipe, run.seed) / "model.pt"
    if not path.exists():
        raise UserError(f"{run.recipe} seed {run.seed} is not trained; run: fasa train {run.recipe} --seed {run.seed}")
    torch.set_num_threads(study.threads(run.recipe))
    _quiet()
    register_all_modules()
    config = build(study, run.recipe, run.seed)
    config.model.pop("stage_one", None)  # the file has all the weights
    detector = MODELS.build(config.model)
    weights.load(path, detector, study.fingerprint(run.recipe))
    heldout = validation_loader(study, run.recipe, config)
    return (
        detector.to(get_device()), Runner.build_dataloader(config.test_dataloader), Runner.build_dataloader(heldout)
    )  # fmt: skip
