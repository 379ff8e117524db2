"""Pre-train a small detector's backbone: it classifies pictures of single glyphs that no scene shows.

The paper's detectors start from a backbone trained on ImageNet. There are no such weights for the small backbones of
generated scenes, and their images are not photographs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.device import get_device
from mmengine.logging import MMLogger
from torch import Tensor, nn
from torch.nn import functional as F

from fasa import atomic, torch_files
from fasa.datasets.glyphs import crops
from fasa.datasets.glyphs.catalogue import glyphs
from fasa.errors import UserError
from fasa.evaluation.arrays import cores
from fasa.mmdet.seeding import random_state
from fasa.tasks.detection.config_files import config_files
from fasa.tasks.detection.configs import layered
from fasa.tasks.detection.pretraining_settings import Pretraining
from fasa.tasks.task import Job

Progress = Callable[[int, int, float], None]
REPLACED = ("init_cfg", "frozen_stages", "norm_eval", "norm_cfg")  # keys of a backbone that pre-training sets itself


def pretrain(
    model: Mapping[str, Any],
    destination: Path,
    spec: Pretraining,
    fingerprint: str,
    processes: int = 1,
    progress: Progress | None = None,
    device: str = "cpu",
) -> float:
    """Train the backbone of the detector config ``model`` and write it to ``destination``; its last epoch's accuracy.

    The file is a dictionary with the backbone's ``state_dict`` and the ``fingerprint``, as mmengine's
    ``init_cfg=dict(type='Pretrained', checkpoint=...)`` of a backbone reads it. Images are normalised as the detector
    does it. ``progress(step, steps, loss)`` is called after each step. Random numbers are drawn on the CPU, so they are
    the same on every ``device``.

    Raises:
        UserError: the catalogue has too few glyphs, the loss is no longer finite, or the file cannot be written.
    """
    images, labels = crops(
        spec.classes, spec.per_class, max(spec.sides), spec.seed, spec.first_class, spec.texture, processes
    )
    with random_state(spec.seed):
        backbone = trainable(model["backbone"])
        probe = torch.zeros(1, 3, max(spec.sides), max(spec.sides))
        backbone.eval()
        with torch.no_grad():
            width = backbone(probe)[-1].shape[1]
        classifier = nn.Linear(width, spec.classes)
        pictures = _normalised(images, model["data_preprocessor"], device)
        accuracy = _train(backbone.to(device), classifier.to(device), pictures, labels, spec, progress)
    state = {name: tensor.detach().cpu().clone() for name, tensor in backbone.state_dict().items()}
    torch_files.write(destination, {"state_dict": state, "fingerprint": fingerprint})
    return accuracy


def provide(job: Job, progress: Progress | None = None) -> Path:
    """The file that the backbone of a run starts from, made where it is missing or of older settings.

    One of the same settings beside it, another scale's, is copied.

    Raises:
        UserError: this scale pre-trains nothing, or see :func:`pretrain`.
    """
    path, model, spec = _wanted(job)
    settings = fingerprint(model, spec)
    if _is_of(path, model, settings):
        return path
    if same := next((other for other in path.parent.glob("*.pt") if _is_of(other, model, settings)), None):
        atomic.write_bytes(path, same.read_bytes())
    else:
        torch.set_num_threads(job.scale.threads)
        pretrain(model, path, spec, settings, cores(), progress, get_device())
    return path


def _is_of(path: Path, model: Mapping[str, Any], settings: str) -> bool:
    try:
        check_file(path, model, settings)
    except UserError:
        return False
    return True


def check(job: Job) -> None:
    """Make sure that the file that a run starts from is there: mmengine would leave out a wrong one silently.

    Raises:
        UserError: it is missing, damaged, or of older settings.
    """
    path, model, spec = _wanted(job)
    try:
        check_file(path, model, fingerprint(model, spec))
    except UserError as error:
        raise UserError(f"{error} Make it with: fasa pretrain {job.run.recipe} --scale {job.scale_name}") from error


def fingerprint(model: Mapping[str, Any], spec: Pretraining) -> str:
    """A hash of all that decides the weights: the backbone, how its input is normalised, ``spec`` and the glyphs."""
    ours = {key: value for key, value in model["backbone"].items() if key not in REPLACED}
    preprocessor = [model["data_preprocessor"].get(key) for key in ("mean", "std", "bgr_to_rgb")]
    alphabet = [(glyph.character, glyph.font) for glyph in glyphs(spec.first_class, spec.classes)]
    text = json.dumps([ours, preprocessor, spec.to_json(), alphabet], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_file(path: Path, model: Mapping[str, Any], fingerprint: str) -> None:
    """Make sure that ``path`` holds the backbone of ``model`` with ``fingerprint``, each of its weights and no other.

    Raises:
        UserError: it does not.
    """
    content = torch_files.read(path, "the backbone starts from it")
    if content.get("fingerprint") != fingerprint:
        raise UserError(f"{path} was trained by older settings.")
    given = content["state_dict"]
    own = MODELS.build({**model["backbone"], "init_cfg": None}).state_dict()
    if own.keys() != given.keys() or any(own[name].shape != given[name].shape for name in own):
        raise UserError(f"{path} does not fit the backbone, a part of which would keep its random weights.")


def _wanted(job: Job) -> tuple[Path, Mapping[str, Any], Pretraining]:
    if job.first_weights is None or job.scale.pretraining is None:
        raise UserError(
            f"scale '{job.scale_name}' pre-trains no backbone for '{job.run.recipe}'; its config says the weights."
        )
    model = layered(config_files(job.root, job.declared, job.scale)).model
    return job.first_weights, model, Pretraining(**job.scale.pretraining)


def trainable(config: Mapping[str, Any]) -> nn.Module:
    """The backbone of a detector's config, from random weights and with nothing frozen: the names stay the same."""
    norm = {**config.get("norm_cfg", {"type": "BN"}), "requires_grad": True}
    backbone = MODELS.build({**config, "init_cfg": None, "frozen_stages": -1, "norm_eval": False, "norm_cfg": norm})
    MMLogger.get_current_instance().setLevel(logging.WARNING)  # else it lists how each tensor was initialised
    backbone.init_weights()
    return backbone


def _normalised(images: np.ndarray, preprocessor: Mapping[str, Any], device: str = "cpu") -> Callable[[Tensor], Tensor]:
    """A function from indices of pictures to the detector's input on ``device``: float32 [n, 3, side, side]."""
    pictures = torch.from_numpy(images)
    mean, std = (torch.tensor(preprocessor[name], device=device).view(1, 3, 1, 1) for name in ("mean", "std"))
    # mmdet reads images as BGR, and mean and std are those of the channels as the backbone sees them
    order = [0, 1, 2] if preprocessor.get("bgr_to_rgb") else [2, 1, 0]
    return lambda numbers: (pictures[numbers][:, order].to(device).float() - mean) / std


def _train(
    backbone: nn.Module,
    classifier: nn.Linear,
    pictures: Callable[[Tensor], Tensor],
    labels: np.ndarray,
    spec: Pretraining,
    progress: Progress | None,
) -> float:
    parameters = [*backbone.parameters(), *classifier.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=spec.lr, weight_decay=spec.weight_decay)
    steps = spec.epochs * (len(labels) // spec.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_factor(step, steps))
    target = torch.from_numpy(labels)
    correct = 0.0
    backbone.train()
    for step, numbers in enumerate(_batches(len(labels), spec)):
        logits = classifier(backbone(_varied(pictures(numbers), spec))[-1].mean((2, 3)))
        loss = F.cross_entropy(logits, target[numbers].to(logits.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if not math.isfinite(loss.item()):
            raise UserError(f"pretraining: the loss is {loss.item()} at step {step + 1}; lower lr.")
        if step >= steps - steps // spec.epochs:
            correct += (logits.argmax(1).cpu() == target[numbers]).float().mean().item()
        if progress:
            progress(step + 1, steps, loss.item())
    return correct / (steps // spec.epochs)


def _lr_factor(step: int, steps: int) -> float:
    """Up over the first quarter, then down along half a cosine."""
    warm = max(1, steps // 4)
    return (step + 1) / warm if step < warm else 0.5 + 0.5 * math.cos(math.pi * (step - warm) / max(1, steps - warm))


def _batches(pictures: int, spec: Pretraining) -> Iterator[Tensor]:
    """Indices of pictures, each at most once an epoch."""
    for _ in range(spec.epochs):
        yield from torch.randperm(pictures)[: pictures // spec.batch_size * spec.batch_size].split(spec.batch_size)


def _varied(pictures: Tensor, spec: Pretraining) -> Tensor:
    """The pictures at one of the sides, each moved and resized; beyond their edges is the mean grey."""
    count = len(pictures)
    side = spec.sides[int(torch.randint(len(spec.sides), (1,)))]
    places = torch.zeros(count, 2, 3)
    places[:, 0, 0], places[:, 1, 1] = (1 + spec.stretch * (2 * torch.rand(2, count) - 1)).unbind()
    places[:, :, 2] = 2 * spec.shift * (2 * torch.rand(count, 2) - 1)
    grid = F.affine_grid(places.to(pictures.device), [count, 3, side, side], align_corners=False)
    if side * 2 <= pictures.shape[-1]:  # samples this far apart would skip pixels
        pictures = F.avg_pool2d(pictures, pictures.shape[-1] // side)
    return F.grid_sample(pictures, grid, align_corners=False)
