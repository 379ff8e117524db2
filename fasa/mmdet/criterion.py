"""What a classification loss of a box head must be able to say: losses of single RoIs, and of virtual features."""

from __future__ import annotations

from typing import Any

from mmdet.models.losses import CrossEntropyLoss
from torch import Tensor, nn
from torch.nn import functional

from fasa.errors import UserError

# A loss takes part by two methods, both without random sampling and before its ``loss_weight``:
#   per_example(cls_score [n, channels], labels [n]) -> losses [n]             labels 0..C, C the background
#   virtual(cls_score [k, channels], labels [k]) -> losses [k], or their mean 0-d    foreground labels only
PROTOCOL = ("per_example", "virtual")


def check_criterion(loss_cls: nn.Module) -> None:
    """Make sure that :func:`per_example` and :func:`virtual` can use ``loss_cls``.

    Raises:
        UserError: it is neither mmdet's softmax cross entropy nor has the two methods.
    """
    softmax = isinstance(loss_cls, CrossEntropyLoss) and not (loss_cls.use_sigmoid or loss_cls.use_mask)
    if not softmax and not all(hasattr(loss_cls, name) for name in PROTOCOL):
        raise UserError(
            f"loss_cls of the box head is {type(loss_cls).__name__}, which has no losses of single RoIs and of virtual "
            "features; choose CrossEntropyLoss with use_sigmoid=False or a loss of fasa.mmdet."
        )


def per_example(loss_cls: Any, cls_score: Tensor, labels: Tensor) -> Tensor:
    """Loss of each RoI alone, ``[n]``, of ``cls_score [n, channels]`` and ``labels [n]`` in ``0..C``."""
    if hasattr(loss_cls, "per_example"):
        return loss_cls.per_example(cls_score, labels)
    return loss_cls(cls_score, labels, reduction_override="none")


def virtual(loss_cls: Any, cls_score: Tensor, labels: Tensor) -> Tensor:
    """Losses ``[k]`` of virtual features of foreground ``labels [k]``, or their mean, 0-d; weight 1 each.

    The 0.1 of the method is multiplied on afterwards: losses such as EQL ignore the weights of samples.
    """
    if hasattr(loss_cls, "virtual"):
        return getattr(loss_cls, "loss_weight", 1.0) * loss_cls.virtual(cls_score, labels)
    return per_example(loss_cls, cls_score, labels)


def class_probabilities(loss_cls: Any, cls_score: Tensor) -> Tensor:
    """Inference probabilities ``[n, C + 1]``, background last, of ``cls_score [n, channels]``."""
    if getattr(loss_cls, "custom_activation", False):
        return loss_cls.get_activation(cls_score)
    return functional.softmax(cls_score, dim=-1)
