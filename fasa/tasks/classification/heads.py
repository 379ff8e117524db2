"""Classifiers on pooled features: linear, cosine (LDAM), causal (De-confound-TDE)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Head(nn.Module):
    """A classifier: features ``[n, d]`` to logits ``[n, C]``; ``infer`` is what is deployed, if that differs."""

    def infer(self, features: Tensor) -> Tensor:
        """Logits ``[n, C]`` at test time."""
        return self(features)

    def observe(self, features: Tensor) -> None:
        """See a training batch's real features ``[n, d]`` (only the causal head keeps anything of them)."""

    def class_weights(self) -> Tensor:
        """The weight vector of each class, ``[C, d]``; its norms are figure 3, its products with maps are CAMs."""
        raise NotImplementedError


class LinearHead(Head):
    """A fully connected layer with bias."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(dim, classes)
        nn.init.kaiming_normal_(self.fc.weight)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc(features)

    def class_weights(self) -> Tensor:
        return self.fc.weight


class CosineHead(Head):
    """Cosines between features and class weights, without bias or scale (LDAM's NormedLinear, Cao et al. 2019)."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(functional.normalize(torch.empty(classes, dim).uniform_(-1, 1)))

    def forward(self, features: Tensor) -> Tensor:
        return functional.normalize(features) @ functional.normalize(self.weight).T

    def class_weights(self) -> Tensor:
        return self.weight


class CausalHead(Head):
    """De-confounded classifier with total direct effect at test time (Tang et al., NeurIPS 2020; their released code).

    Features are split into ``heads`` parts; each part is normalised, its class weights by norm plus ``gamma``.
    """

    mean_feature: Tensor

    def __init__(
        self,
        dim: int,
        classes: int,
        heads: int = 2,
        temperature: float = 16.0,
        gamma: float = 1 / 32,
        alpha: float = 1.5,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.heads, self.temperature, self.gamma, self.alpha, self.momentum = heads, temperature, gamma, alpha, momentum
        self.weight = nn.Parameter(torch.empty(classes, dim).uniform_(-(dim**-0.5), dim**-0.5))
        self.register_buffer("mean_feature", torch.zeros(dim))

    def _parts(self, vectors: Tensor) -> Tensor:
        return vectors.unflatten(-1, (self.heads, -1))  # [n, dim] -> [n, heads, dim / heads]

    def _score(self, parts: Tensor) -> Tensor:
        weight = self._parts(self.weight)
        weight = weight / (weight.norm(dim=-1, keepdim=True) + self.gamma)
        return self.temperature / self.heads * torch.einsum("nkd,ckd->nc", parts, weight)

    def forward(self, features: Tensor) -> Tensor:
        return self._score(functional.normalize(self._parts(features), dim=-1))

    @torch.no_grad()
    def observe(self, features: Tensor) -> None:
        """Move the mean feature: ``e <- mu e + mean(x)``; only its direction is ever used, so no ``1 - mu``."""
        self.mean_feature.mul_(self.momentum).add_(features.detach().mean(0))

    def infer(self, features: Tensor) -> Tensor:
        """Logits without the part along the mean feature: ``x - alpha cos(x, e) e`` for each head."""
        parts = functional.normalize(self._parts(features), dim=-1)
        direction = functional.normalize(self._parts(self.mean_feature), dim=-1)
        along = (parts * direction).sum(-1, keepdim=True)
        return self._score(parts - self.alpha * along * direction)

    def class_weights(self) -> Tensor:
        return self.weight


HEADS: dict[str, type[Head]] = {"linear": LinearHead, "cosine": CosineHead, "causal": CausalHead}
