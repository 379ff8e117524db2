"""mmdet's interface of a classification loss with outputs and scores of its own."""

from __future__ import annotations

from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from fasa.errors import UserError


class ClassificationLoss(nn.Module):
    """What the losses of this package share; a subclass gives :meth:`per_example` and what it does otherwise.

    mmdet's heads ask a loss with the ``custom_`` attributes for the classifier's number of outputs, for scores
    ``[n, C + 1]`` (background last) and for the accuracies that they log.

    Args:
        num_classes: ``C``, without background.
        channels: outputs of the classifier.
        reduction: ``mean``, ``sum`` or ``none``.
        loss_weight: factor of the loss.
    """

    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    def __init__(self, num_classes: int, channels: int, reduction: str, loss_weight: float) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise UserError(f"reduction of loss_cls is {reduction!r}; it must be mean, sum or none.")
        self.num_classes, self.channels = num_classes, channels
        self.reduction, self.loss_weight = reduction, loss_weight

    def get_cls_channels(self, num_classes: int) -> int:
        """Outputs of the classifier of a box head with ``num_classes``.

        Raises:
            UserError: the loss was given counts of another number of classes.
        """
        if num_classes != self.num_classes:
            raise UserError(
                f"num_classes of loss_cls ({type(self).__name__}) is {self.num_classes} but the box head's is "
                f"{num_classes}; make them agree."
            )
        return self.channels

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Logits ``[n, channels]`` to scores ``[n, C + 1]``, background last."""
        return cls_score.softmax(1)

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Per cent of the RoIs, background included, whose label has the highest score; no synchronisation."""
        hits = self.get_activation(cls_score).argmax(1) == labels
        return {"acc": 100 * hits.float().mean().reshape(1)}

    def per_example(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Losses ``[n]`` of logits ``[n, channels]`` and labels in ``0..C``, without any randomness."""
        raise NotImplementedError

    def virtual(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Losses ``[k]`` of virtual foreground features, or their mean, 0-d."""
        return self.per_example(cls_score, labels)

    def training_losses(self, cls_score: Tensor, labels: Tensor) -> Tensor:
        """Losses ``[n]`` of real RoIs in training."""
        return self.per_example(cls_score, labels)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Losses times ``weight [n]``, reduced: 0-d, or ``[n]`` for ``none``; ``avg_factor`` divides the mean's sum."""
        return self.loss_weight * weight_reduce_loss(
            self.training_losses(cls_score, label),
            None if weight is None else weight.float(),
            reduction_override or self.reduction,
            avg_factor,
        )
