"""From a trained detector to a file of detections: one image after the other, masks encoded as they come."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader

from fasa.metrics import DetectionWriter, GroundTruth


@torch.no_grad()
def write_detections(
    detector: nn.Module, images: DataLoader, path: Path, annotations: GroundTruth | None = None, policy: str = "all"
) -> None:
    """Detect in ``images`` and write the detections to ``path`` (.npz); masks by ``policy``.

    Raises:
        UserError: the disk is full; an older file is left as it was.
    """
    category_ids = torch.as_tensor(images.dataset.cat_ids)
    detector.eval()
    with DetectionWriter(path, annotations, policy) as writer:
        for batch in track(images, "detecting", transient=True, disable=None):
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
