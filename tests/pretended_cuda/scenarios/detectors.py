"""Every kind of detector: two epochs, validation and adaptation after each; inference, AP-Fixed, measurements."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed.optim  # mmengine does; it compiles functions, which it cannot on the device
from pretended_cuda import mmcv_operators, strictness
from pretended_cuda.kinds import RECIPES
from pretended_cuda.scenes import study, write_root

from fasa.study import Run

WAITS = {"bags_fasa"}  # its criterion gives one loss for all virtual features, as FASA.loss says
_root = TemporaryDirectory()  # of all scenarios: detectors start from others


def prepare() -> None:
    """Write the study, and forbid what the project promises not to do."""
    write_root(Path(_root.name))
    strictness.of_fasa()
    strictness.of_detectors()
    mmcv_operators.install()
    from mmengine.config import utils

    utils._get_cfg_metainfo = cache(utils._get_cfg_metainfo)  # it reads all that MMDetection says of its models
    from pretended_cuda.scenarios import detector_faults  # imports MMDetection, which looks for the device

    SCENARIOS.update(detector_faults.SCENARIOS)


def job(name: str) -> Any:
    """Seed 0 of a recipe, trained as the command trains it, after the runs that it starts from."""
    from fasa.tasks.detection import session

    made = study(Path(_root.name), name).job(Run(name, 0))
    for each in (*made.needed.values(), made):
        if not each.weights.exists():
            for error in session.train([each]).values():
                raise error
    return made


def inferred(name: str) -> Callable[[Path], None]:
    """A recipe from its first step to its detections, the best of each image and of each class."""

    def scenario(folder: Path) -> None:
        from fasa.evaluation import load_ground_truth
        from fasa.tasks.detection import inference, measurements, topk_inference
        from fasa.tasks.detection.training import trained_detector
        from fasa.tasks.records import read_trained

        with strictness.lifted() if name in WAITS else nullcontext():
            made = job(name)
        detector, images, heldout = trained_detector(made)
        inference.write_detections(detector, images, folder / "detections.npz")
        truth = load_ground_truth(images.dataset.ann_file)
        topk_inference.write_detections(detector, images, folder / "best.npz", truth)
        measurements.internals(detector, heldout, read_trained(made, "history.json")["epochs"])

    return scenario


def measured_by_the_command(folder: Path) -> None:
    """All measurements, NorCal among them."""
    from fasa.tasks.detection import session
    from fasa.tasks.detection.measurements import BEST_OF_CLASSES

    made = job("mask_rcnn")
    made = replace(made, measurements=made.measurements | {*BEST_OF_CLASSES, "norcal"})
    session.evaluate(made, time.monotonic())


def resumed_is_uninterrupted(folder: Path) -> None:
    """Gone on with from the checkpoint of the first epoch."""
    from fasa.tasks.detection.training import train

    whole = job("rfs_fasa")
    stopped = replace(whole, work_dir=folder)
    shutil.copytree(whole.checkpoints, stopped.checkpoints)
    (stopped.checkpoints / "epoch_2.pth").unlink()
    train(stopped)
    first, second = (torch.load(each.weights, weights_only=True)["state_dict"] for each in (whole, stopped))
    torch.testing.assert_close(second, first, rtol=0, atol=0)


def in_micro_batches(folder: Path) -> None:
    """The work of two devices on one."""
    from fasa.tasks.detection.training import train

    made = job("rfs_fasa")
    train(replace(made, work_dir=folder, scale=made.scale.model_copy(update={"devices": 2})))


def pretrained(folder: Path) -> None:
    """A backbone on single glyphs, which starts the detectors of other scales."""
    from mmengine.device import get_device

    from fasa.tasks.detection.configs import build
    from fasa.tasks.detection.pretraining import pretrain
    from fasa.tasks.detection.pretraining_settings import Pretraining

    assert get_device() == "cuda"
    spec = Pretraining(first_class=60, classes=3, per_class=8, epochs=1, sides=(32,), batch_size=8)
    model = build(job("rfs_fasa")).model
    pretrain(model, folder / "backbone.pt", spec, "of this scenario", device=get_device())


SCENARIOS: dict[str, Callable[[Path], Any]] = {name: inferred(name) for name in RECIPES} | {
    function.__name__.replace("_", " "): function
    for function in (measured_by_the_command, resumed_is_uninterrupted, in_micro_batches, pretrained)
}
