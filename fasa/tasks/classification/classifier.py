"""A classifier put together from a recipe: backbone, head, and the file that a training leaves of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fasa import torch_files
from fasa.errors import UserError
from fasa.tasks.classification.heads import HEADS
from fasa.tasks.classification.networks import build_backbone
from fasa.tasks.classification.recipe import ClassificationRecipe


class Classifier(nn.Module):
    """Normalised images ``[n, 3, H, W]`` to logits ``[n, C]`` as deployed (the head's ``infer``)."""

    def __init__(self, recipe: ClassificationRecipe, classes: int, backbone_options: dict[str, Any]) -> None:
        super().__init__()
        self.network = build_backbone(recipe.backbone, **backbone_options)
        try:
            self.head = HEADS[recipe.head](self.network.feature_dim, classes, **recipe.head_options)
        except TypeError as error:
            raise UserError(f"recipe '{recipe.name}', head '{recipe.head}': {error}.") from error

    def forward(self, images: Tensor) -> Tensor:
        return self.head.infer(self.network(images).mean((2, 3)))


def save_classifier(path: Path, classifier: Classifier, fingerprint: str) -> None:
    """Write a finished run's weights, atomically, with the fingerprint of what made them."""
    torch_files.write(path, {"fingerprint": fingerprint, "state": classifier.state_dict()})


def load_classifier(path: Path, classifier: Classifier, fingerprint: str) -> None:
    """Fill ``classifier`` with a finished run's weights.

    Raises:
        UserError: the file is missing or damaged, or an older recipe made it.
    """
    content = torch_files.read(path, "train that run first")
    if content.get("fingerprint") != fingerprint:
        raise UserError(f"{path} was trained by another version of its recipe; delete it and train that run again.")
    classifier.load_state_dict(content["state"])
