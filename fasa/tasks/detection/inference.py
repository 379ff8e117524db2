"""From a trained detector to a file of detections: one image after the other, masks encoded as they come."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.progress import track
from torch.utils.data import DataLoader

from fasa.evaluation import DetectionWriter
from fasa.tasks.detection.nms import nms_by_class

Batch = TypeVar("Batch")


@torch.no_grad()
def write_detections(detector: Any, images: DataLoader, path: Path) -> None:
    """Detect in ``images`` and write the detections with all their masks to ``path`` (.npz).

    Raises:
        UserError: the disk is full; an older file is left as it was.
    """
    dataset: Any = images.dataset
    category_ids = torch.as_tensor(dataset.cat_ids)
    detector.eval()
    with DetectionWriter(path) as writer, nms_by_class(detector):
        for batch in progress(images, "detecting"):
            for sample in detector.test_step(batch):
                found = sample.pred_instances.cpu()
                boxes = found.bboxes.double()
                boxes[:, 2:] -= boxes[:, :2]
                writer.add(
                    sample.img_id,
                    category_ids[found.labels].numpy(),
                    found.scores.double().numpy(),
                    boxes.clamp(min=0).numpy(),
                    found.masks.numpy(),
                )


def progress(batches: Iterable[Batch], description: str) -> Iterable[Batch]:
    """``batches``, with a bar where there is a terminal."""
    return track(batches, description, transient=True, disable=None)  # type: ignore[arg-type]  # None: rich looks


def image_paths(images: DataLoader) -> dict[int, str]:
    """The file of each image of a test loader, by its id in the annotations."""
    dataset: Any = images.dataset
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    return {info["img_id"]: info["img_path"] for info in infos}
