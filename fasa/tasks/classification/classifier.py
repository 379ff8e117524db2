"""A classifier put together from a recipe: backbone and head."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

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
