"""A step of Mask R-CNN without and with FASA, in turns, and what the end of an epoch asks for."""

from __future__ import annotations

import math
from copy import deepcopy
from statistics import median
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmengine.logging import MMLogger

from benchmarks.gpu import operators
from benchmarks.gpu.here import Here
from benchmarks.gpu.scenes import CONFIG, SMALL, Size, batch, detector
from benchmarks.timing import timed
from fasa.errors import UserError
from fasa.mmdet.validation_loss import ValidationLoss, stages
from fasa.tasks.detection.topk_inference import FLOOR, detections

GIB = 2**30
TURNS = 2  # of each: what differs between two turns of the same is noise
REHEARSED = Size(height=64, width=96, objects=3, classes=8, steps=2, files=(CONFIG, SMALL))
FASA = {"name": "fasa", "options": {"start_epoch": 0}}
UNTRAINED = "untrained, where every class scores everywhere: the slowest there is"


def measure(here: Here) -> None:
    """Time them on made-up images."""
    MMLogger.get_instance("mmengine", log_level="WARNING")
    size, device = REHEARSED if here.rehearse else Size(), here.device
    whose = operators.provide(device)
    here.say("operators", f"RoIAlign and NMS of {whose}", operators=whose)
    batches = [batch(size, seed) for seed in range(2)]
    models = {"without FASA": detector(size, None), "with FASA": detector(size, FASA)}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    memory: dict[str, float] = {}
    for turn in range(TURNS):
        for name, model in models.items():
            model.to(device)
            took, memory[name], losses = _train(model, batches, size.steps)
            seconds[name] += took[len(took) // 3 :]
            numbers = {"seconds": took, "gib": memory[name], "losses": [losses[0], losses[-1]]}
            here.say(f"{name}, turn {turn}", f"{name} {median(took):.3f} s a step (turn {turn + 1})", **numbers)
            if turn + 1 < TURNS or name != "with FASA":
                model.to("cpu")
    without, with_fasa = (median(took) for took in seconds.values())
    told = f"{size.images} images of {size.height} x {size.width}, {size.classes} classes: with FASA a step takes "
    more = f", {memory['with FASA']:.2f} instead of {memory['without FASA']:.2f} GiB" if device.type == "cuda" else ""
    ratio = with_fasa / without
    here.say("ratio", f"{told}{with_fasa:.3f} s instead of {without:.3f} s: ratio {ratio:.3f}{more}", ratio=ratio)
    _end_of_epoch(here, models["with FASA"], batches)


def _train(
    model: TwoStageDetector, batches: list[dict[str, Any]], steps: int
) -> tuple[list[float], float, list[float]]:
    """Seconds of each step, the peak of tensors in GiB (0 on a CPU), and the losses.

    Raises:
        UserError: a loss is not finite.
    """
    on_gpu = next(model.parameters()).is_cuda
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3, momentum=0.9)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    took, losses = [], []
    for number in range(steps):
        data = model.data_preprocessor(deepcopy(batches[number % len(batches)]), training=True)

        def step(data: dict[str, Any] = data) -> float:
            loss, _ = model.parse_losses(model(**data, mode="loss"))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return loss.item()

        loss, seconds = timed(step)
        if not math.isfinite(loss):
            raise UserError(f"the detector's loss is {loss} in step {number}.")
        took.append(seconds)
        losses.append(loss)
    return took, torch.cuda.max_memory_allocated() / GIB if on_gpu else 0.0, losses


def _end_of_epoch(here: Here, model: TwoStageDetector, batches: list[dict[str, Any]]) -> None:
    """Validation loss, adaptation and inference."""
    sums, seconds = timed(lambda: ValidationLoss(model, [deepcopy(data) for data in batches])()[0])
    images = sum(len(data["inputs"]) for data in batches)
    here.say("validation loss", f"validation loss {seconds / images:.3f} s an image", seconds=seconds, images=images)
    fasa = stages(model)[0].head.augmenter.fasa
    classes = len(fasa.mean)
    fasa.observations.fill_(1)  # as later in a training: all classes were seen, and are to be grouped
    fasa.mean.normal_()
    fasa.variance.uniform_(0.25, 0.75)
    for _ in range(2):  # the first only sets the mark
        _, seconds = timed(lambda: fasa.adapt(sums.loss[:-1], sums.count[:-1]))
    here.say("adaptation", f"an adaptation of {classes} classes {seconds:.3f} s", seconds=seconds, classes=classes)
    model.eval()
    thresholds = torch.full((classes,), FLOOR, device=here.device)
    with torch.no_grad():
        for name, infer in {
            "inference": lambda: len(model.test_step(deepcopy(batches[0]))),
            "AP-Fixed's first pass": lambda: len(list(detections(model, deepcopy(batches[0]), thresholds))),
        }.items():
            count, seconds = min((timed(infer) for _ in range(2)), key=lambda found: found[1])
            told = f"{name} {seconds / count:.2f} s an image ({UNTRAINED})"
            here.say(name, told, seconds=seconds, images=count)
