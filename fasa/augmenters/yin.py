"""Feature transfer (Yin et al., CVPR 2019) from regular classes to those with few instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fasa.augmenters.base import Batch, Phase, TrainingContext, Validation
from fasa.augmenters.feature_augmenter import FeatureAugmenter
from fasa.method.distributed import all_reduce
from fasa.method.statistics import batch_moments


class Yin(FeatureAugmenter):
    """Tail features: a tail class's centre plus a regular feature's deviation from its own centre, in a code's space.

    An encoder and a decoder of the classifier's input learn from ``reconstruction * L_recon``; features and classifier
    from ``regularisation * L_reg`` (the squared responses of the classifier, "m-L2"). Deviations are projected on the
    principal components, which hold ``energy`` of the regular classes' pooled variance; the decoder makes the sum of
    centre and deviation a virtual feature, drawn and weighted as FASA's static sampling does.

    From ``start_epoch`` on, epochs alternate (:attr:`phase`): in one the classifier alone learns, also from virtual
    features; in the next all else learns. Whoever runs the training holds back what is not to learn.

    Args:
        code: width of the code (at most the feature's).
        few: a class with fewer instances is a tail class, the others are regular.
        energy: share of the variance that the principal components hold.
        reconstruction, regularisation: weights of the two losses (supplement, table 7).
        momentum: of the running centres and covariance.
        draws_per_step, loss_weight, start_epoch: those of :class:`~fasa.augmenters.feature_augmenter.FeatureAugmenter`.

    Raises:
        ValueError: an argument outside its range.
    """

    centres: Tensor
    observations: Tensor
    covariance: Tensor
    projection: Tensor
    tail: Tensor

    def __init__(
        self,
        context: TrainingContext,
        code: int = 320,
        few: int = 20,
        energy: float = 0.95,
        reconstruction: float = 0.5,
        regularisation: float = 0.25,
        momentum: float = 0.1,
        draws_per_step: float = 5.0,
        loss_weight: float = 0.1,
        start_epoch: int = 1,
    ) -> None:
        super().__init__(context, draws_per_step, loss_weight, start_epoch)
        if not (code >= 1 and 0 < energy <= 1 and 0 < momentum <= 1 and reconstruction >= 0 and regularisation >= 0):
            raise ValueError("code must be at least 1, energy and momentum in (0, 1], the losses' weights not negative")
        code = min(code, context.feature_dim)
        self.energy, self.reconstruction, self.regularisation = energy, reconstruction, regularisation
        self.momentum = momentum
        self.encoder = nn.Linear(context.feature_dim, code)
        self.decoder = nn.Linear(code, context.feature_dim)
        self.register_buffer("centres", torch.zeros(self.classes, code))
        self.register_buffer("observations", torch.zeros(self.classes, dtype=torch.long))
        self.register_buffer("covariance", torch.zeros(code, code))
        self.register_buffer("projection", torch.zeros(code, code))
        self.register_buffer("tail", torch.as_tensor(context.class_counts) < few, persistent=False)
        self._number = 0
        self._source: tuple[Tensor, Tensor] | None = None  # deviations of this batch, and which are regular ones

    @property
    def phase(self) -> Phase:
        since = self._number - self.start_epoch
        if since < 0:
            return "all"
        return "features" if since % 2 else "classifier"

    def begin_epoch(self, epoch: int) -> None:
        self._number = epoch

    def loss(self, batch: Batch) -> Tensor:
        """The weighted sum of reconstruction, regularisation and virtual loss, 0-d; 0 in eval mode."""
        features, labels = batch.features, batch.labels
        if not self.training:
            return features.new_zeros(())
        foreground = ((labels >= 0) & (labels < self.classes)).float()
        codes = self.encoder(features)
        # The target is the feature as it is: else it would shrink to be easy to reconstruct.
        error = (self._decode(codes) - features.detach()).float().square().mean(1)
        response = self.context.classifier(features).float().square().mean(1)
        losses = self.reconstruction * error + self.regularisation * response
        total = (losses * foreground).sum() / foreground.sum().clamp(min=1)
        with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
            self.observe(codes.detach().float(), labels)
        if self.phase != "features":
            total = total + self.virtual_loss()
        self._source = None
        return total

    def observe(self, features: Tensor, labels: Tensor) -> None:
        """Move centres and covariance by the codes ``[n, code]`` of ``labels [n]``."""
        batch = batch_moments(features, labels, self.classes, all_ranks=True)
        weight = torch.where(self.observations == 0, 1.0, self.momentum).where(batch.samples > 0, 0)
        self.centres.lerp_(batch.mean, weight[:, None])
        self.observations += batch.samples.long()
        rows = labels.clamp(0, self.classes - 1)
        regular = (labels >= 0) & (labels < self.classes) & ~self.tail[rows]
        deviations = (features - self.centres[rows]) * regular[:, None]
        scatter, count = deviations.T @ deviations, regular.sum().float()
        all_reduce(scatter, count)
        self.covariance.lerp_(scatter / count.clamp(min=1), self.momentum * (count > 0))
        self._source = deviations, regular

    def ready(self) -> Tensor:
        assert self._source is not None
        return self.tail & (self.observations > 0) & self._source[1].any()

    def make(self, classes: Tensor) -> Tensor:
        assert self._source is not None
        deviations, regular = self._source
        chance = torch.rand(len(classes), len(regular), generator=self.context.generator, device=regular.device)
        source = chance.masked_fill(~regular, -1).argmax(1)
        return self._decode(self.centres[classes] + deviations[source] @ self.projection)

    def end_epoch(self, validate: Callable[[], Validation]) -> dict[str, Any]:
        """Find the principal components that the next epoch projects on."""
        self.projection.copy_(principal_projection(self.covariance, self.energy))
        return {**super().end_epoch(validate), "components": round(float(self.projection.trace()))}

    def _decode(self, codes: Tensor) -> Tensor:
        return functional.relu(self.decoder(codes))  # features come from a ReLU


def principal_projection(covariance: Tensor, energy: float) -> Tensor:
    """``Q Q^T`` of the fewest principal components ``Q`` that hold ``energy`` of the variance; ``[d, d]``.

    Zeros for a covariance of zeros.
    """
    values, vectors = torch.linalg.eigh(covariance.double())
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    before = values.cumsum(0) - values
    kept = vectors * ((before < energy * values.sum() * (1 - 1e-9)) & (values > 0))
    return (kept @ kept.T).to(covariance.dtype)
