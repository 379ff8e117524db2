"""FASA: eqs 2 to 5 joined in one module that plugs into any classifier."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, Literal, get_args, get_type_hints

import torch
from torch import Tensor, nn

from fasa.method import sampling
from fasa.method.checks import check_examples
from fasa.method.distributed import all_reduce, broadcast, is_distributed
from fasa.method.grouping import group_classes
from fasa.method.sampling import generate
from fasa.method.statistics import batch_moments, update
from fasa.method.virtual_loss import (
    Criterion,
    VirtualLoss,
    no_virtual_loss,
    of_each_example,
    static_shapes,
    virtual_loss,
)

# Where the paper is silent or its released code differs: docs/deviations.md. The constructor's defaults are fasa_paper.
fasa_paper: dict[str, Any] = {}
fasa_released: dict[str, Any] = {"grouping": "affinity_released", "reduction": "share_sum", "global_statistics": False}


class FASA(nn.Module):
    """Feature augmentation and sampling adaptation (Zang et al., ICCV 2021, section 3).

    In a training step call :meth:`observe`, then add :meth:`loss`, or join :meth:`weighted_loss` to the real examples;
    after each epoch's validation call :meth:`adapt`. All state is in buffers, so a checkpoint of the model holds it,
    but for a ``generator`` of your own. Statistics are in float32 at least, whatever the module is cast to.

    Args:
        class_counts: training samples of each class, ``[C]``, at least 1 each (instances, for a detector).
        feature_dim: ``d``, the width of the classifier's input.
        momentum: ``m`` of eq 2.
        draws_per_step: ``s`` of eq 4, the expected number of virtual features a step while no probability is clipped.
        loss_weight: factor of the mean virtual loss (released code).
        start_epoch: first epoch, counted from 0, with virtual features (released code: the second).
        up: ``alpha`` of section 3.2, for groups whose loss fell.
        down: ``beta``, for those whose loss rose.
        initialisation: ``inverse_frequency`` or ``uniform`` (supplement B.1).
        grouping: ``mean_shift`` (paper), ``affinity_released``, ``affinity`` (its sign corrected) or ``class`` (each
            alone).
        neighbours: relative bandwidth of mean-shift: the median distance to a class's n-th nearest class.
        adaptive: False keeps the first probabilities ("static sampling", table 3).
        adapt_on: what :meth:`adapt` is given sums of: ``loss`` (lower is better) or ``metric`` (higher is better).
        reduction: a group's value: ``pooled``, the mean over all validation samples of its classes (section 3.2);
            ``class_mean``, the mean over its classes of their mean loss; ``share_sum``, the sum over its classes of
            their share of the total loss (released code). The first two leave out a class without validation data in
            this epoch or at the last adaptation; it follows its group.
        variance_estimator: reading of eq 2: ``literal``, ``std`` or ``ewm`` (:func:`fasa.method.statistics.update`).
        global_statistics: under ``torch.distributed``, statistics over all ranks' batches; False: each rank its own.
        generator: source of all random numbers; None for torch's default.

    Raises:
        ValueError: an argument outside its range.
    """

    mean: Tensor
    variance: Tensor
    like: Tensor
    observations: Tensor
    probabilities: Tensor
    groups: Tensor
    previous: Tensor
    previous_count: Tensor | None
    epoch: Tensor

    def __init__(
        self,
        class_counts: Sequence[int] | Tensor,
        feature_dim: int,
        momentum: float = 0.1,
        draws_per_step: float = 1.0,
        loss_weight: float = 0.1,
        start_epoch: int = 1,
        up: float = 1.1,
        down: float = 0.9,
        initialisation: Literal["inverse_frequency", "uniform"] = "inverse_frequency",
        grouping: Literal["mean_shift", "affinity", "affinity_released", "class"] = "mean_shift",
        neighbours: int = 5,
        adaptive: bool = True,
        adapt_on: Literal["loss", "metric"] = "loss",
        reduction: Literal["pooled", "class_mean", "share_sum"] = "pooled",
        variance_estimator: Literal["literal", "std", "ewm"] = "literal",
        global_statistics: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        hints = get_type_hints(FASA.__init__)
        for name, value in {
            "initialisation": initialisation,
            "grouping": grouping,
            "adapt_on": adapt_on,
            "reduction": reduction,
            "variance_estimator": variance_estimator,
        }.items():
            if value not in (choices := get_args(hints[name])):
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum is {momentum}; it must lie in (0, 1]")
        if not (draws_per_step >= 0 and loss_weight >= 0 and 0 < down <= 1 <= up and neighbours >= 2):
            raise ValueError(
                "draws_per_step and loss_weight must not be negative, 0 < down <= 1 <= up, neighbours at least 2"
            )
        counts = torch.as_tensor(class_counts)
        if counts.ndim != 1 or not len(counts) or counts.min() < 1:
            raise ValueError("class_counts must be one number of at least 1 for each class")
        self.momentum, self.draws_per_step, self.loss_weight = momentum, draws_per_step, loss_weight
        self.start_epoch, self.initialisation = start_epoch, initialisation
        self.up, self.down = up, down
        self.grouping, self.neighbours, self.adaptive, self.adapt_on = grouping, neighbours, adaptive, adapt_on
        self.reduction, self.variance_estimator = reduction, variance_estimator
        self.global_statistics = global_statistics
        self.generator = generator
        self._warned = False
        classes = len(counts)
        wide = torch.promote_types(torch.get_default_dtype(), torch.float32)
        self.register_buffer("mean", torch.zeros(classes, feature_dim, dtype=wide))
        self.register_buffer("variance", torch.zeros(classes, feature_dim, dtype=wide))
        self.register_buffer("observations", torch.zeros(classes, dtype=torch.long))
        self.register_buffer("probabilities", sampling.initial_probabilities(counts, draws_per_step, initialisation))
        self.register_buffer("groups", torch.full((classes,), -1))
        self.register_buffer("previous", torch.full((classes,), torch.nan, dtype=wide))
        # Only where it is needed: checkpoints of the other reductions do not have it.
        self.register_buffer("previous_count", torch.zeros(classes, dtype=wide) if reduction == "pooled" else None)
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))
        self.register_buffer("like", torch.zeros(0), persistent=False)  # of the type that virtual features have

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FASA:
        """Cast and move all, but no statistics to half numbers: bfloat16 counts to 256, and loses small steps."""

        def apply(tensor: Tensor) -> Tensor:
            applied = fn(tensor)
            if tensor is self.like or not tensor.is_floating_point():
                return applied
            wide = torch.promote_types(applied.dtype, torch.float32)
            return applied if applied.dtype == wide else tensor.to(applied.device, wide)

        return super()._apply(apply, recurse)

    @torch.no_grad()
    def observe(self, features: Tensor, labels: Tensor) -> None:
        """Update the running statistics (eq 2) with real ``features [n, d]`` of ``labels [n]``.

        Labels outside ``[0, C)`` are ignored, and so are features that are not finite. No gradient, no host-device
        synchronisation; does nothing in eval mode.

        Raises:
            ValueError: features or labels of another shape, or labels that are no whole numbers.
        """
        check_examples(features, labels, "features", self.mean.shape[1])
        if self.training and (len(labels) or is_distributed()):  # other processes may have some
            features = features.detach().to(self.mean.dtype)
            batch = batch_moments(features, labels.long(), len(self.mean), self.global_statistics)
            update(self.mean, self.variance, self.observations, batch, self.momentum, self.variance_estimator)

    @torch.no_grad()
    def sample(self) -> tuple[Tensor, Tensor]:
        """Draw each class seen so far with its probability (eq 4) and make one virtual feature of it (eq 3).

        Returns:
            ``features [k, d]`` and ``labels [k]``; ``k`` varies, which synchronises with the device.
        """
        labels = self._draw().nonzero().squeeze(1)
        return self._make(labels), labels

    def loss(self, classifier: Callable[[Tensor], Tensor], criterion: Criterion) -> Tensor:
        """Virtual features' loss, 0-d, times ``loss_weight``; 0 before ``start_epoch``, in eval mode or without a draw.

        Args:
            classifier: maps features ``[k, d]`` to logits; the only thing that receives a gradient.
            criterion: maps logits and labels ``[k]`` to losses ``[k]``, to a pair of losses ``[k]`` and their weights
                ``[k]`` in a weighted mean, or to a 0-d loss. The first two need no host-device synchronisation.
        """
        total, weight = self._virtual_loss(classifier, criterion)
        return self.loss_weight * (total / weight)

    def weighted_loss(self, classifier: Callable[[Tensor], Tensor], criterion: Criterion) -> VirtualLoss:
        """Virtual features' loss, to make one mean with the real examples' (section 3.1); without ``loss_weight``.

        ``fasa.weighted_loss(classifier, criterion).joined(real, weight)`` is that mean. ``classifier`` and
        ``criterion`` are those of :meth:`loss`.

        Raises:
            ValueError: the criterion gives a 0-d loss.
        """
        return self._virtual_loss(classifier, of_each_example(criterion))

    def _virtual_loss(self, classifier: Callable[[Tensor], Tensor], criterion: Criterion) -> VirtualLoss:
        early = not static_shapes(self.mean.device) and self.epoch < self.start_epoch  # a GPU's epoch stays unread
        if early or not self.training:
            return no_virtual_loss(self.mean.device)
        drawn = self._draw() & (self.epoch >= self.start_epoch)
        return virtual_loss(drawn, self._make, classifier, criterion)

    def _make(self, labels: Tensor) -> Tensor:
        return generate(self.mean[labels], self.variance[labels], self.generator).to(self.like.dtype)

    def _draw(self) -> Tensor:
        chance = torch.rand(len(self.mean), generator=self.generator, device=self.mean.device)
        return (chance < self.probabilities) & (self.observations > 0)

    def extra_repr(self) -> str:
        """The settings, as the constructor has them."""
        left_out = ("self", "class_counts", "feature_dim", "generator")
        given = [name for name in signature(FASA.__init__).parameters if name not in left_out]
        classes, dim = self.mean.shape
        return ", ".join(
            [f"classes={classes}", f"feature_dim={dim}", *(f"{name}={getattr(self, name)!r}" for name in given)]
        )

    @torch.no_grad()
    def adapt(
        self,
        loss_sum: Tensor | None = None,
        count: Tensor | None = None,
        *,
        losses: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> None:
        """End an epoch: regroup the classes (eq 5), scale their probabilities by their groups' progress (section 3.2).

        Give ``losses`` and ``labels`` of all validation samples, or what they add up to for each class, ``loss_sum``
        and ``count``. The first epoch with validation data only sets the mark that the next one is compared with.

        Args:
            losses: of each validation sample its loss, or its metric (``adapt_on``), such as 1 for a hit, ``[n]``.
            labels: of each validation sample, ``[n]``.
            loss_sum: per class, the sum of its validation losses, or of its metric (``adapt_on``), ``[C]``; further
                entries, such as a detector's background, count only in ``share_sum``. Not needed if static.
            count: per class, the number of validation samples behind it, same shape.

        Raises:
            ValueError: adaptive sampling with neither pair or with both, entries of another number, or labels that
                are no whole numbers.
        """
        if losses is not None or labels is not None:
            if losses is None or labels is None or loss_sum is not None or count is not None:
                raise ValueError("adapt needs losses and labels of all samples, or loss_sum and count of each class")
            check_examples(losses, labels, "losses")
            loss_sum, count = self._sums(losses, labels)
        if not self.adaptive:
            self.epoch += 1
            return
        if loss_sum is None or count is None or len(loss_sum) < len(self.mean) or len(count) != len(loss_sum):
            raise ValueError("adapt needs loss_sum and count with an entry for each class")
        self.epoch += 1
        sums, counts = loss_sum.to(self.mean, copy=True), count.to(self.mean, copy=True)
        all_reduce(sums, counts)
        classes = len(self.mean)
        if self.reduction == "share_sum":
            current = (sums / counts.sum().clamp(min=1))[:classes]
        else:
            current = torch.where(counts > 0, sums / counts.clamp(min=1), torch.nan)[:classes]
        self.groups.copy_(group_classes(self.mean, self.variance, self.observations, self.grouping, self.neighbours))
        self._warn_of_bandwidth()
        if self.previous_count is not None:
            samples = counts[:classes]
            change = sampling.pooled_change(current, samples, self.previous, self.previous_count, self.groups)
            self.previous_count.copy_(samples)
        else:
            change = sampling.group_change(
                current, self.previous, self.groups, "mean" if self.reduction == "class_mean" else "sum"
            )
        better = -change if self.adapt_on == "loss" else change
        self.probabilities.copy_(sampling.adapt(self.probabilities, better > 0, better < 0, self.up, self.down))
        self.previous.copy_(current)
        broadcast(self.probabilities, self.groups)  # local statistics group differently on each rank

    def _sums(self, values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of ``values [n]`` of each class, and last of all other ``labels [n]``; ``[C + 1]`` each."""
        classes, labels = len(self.mean), labels.long()
        rows = torch.where((labels >= 0) & (labels < classes), labels, classes)
        given = torch.stack([values, torch.ones_like(values)]).to(self.mean)
        total, number = given.new_zeros(2, classes + 1).index_add_(1, rows.to(given.device), given)
        return total, number

    def _warn_of_bandwidth(self) -> None:
        sizes = self.groups[self.groups >= 0].unique(return_counts=True)[1]
        seen, found, largest = int(sizes.sum()), len(sizes), max(sizes.tolist(), default=0)
        lopsided = seen >= 20 and (largest > seen / 2 or found > seen / 2)
        if self.grouping == "mean_shift" and lopsided and not self._warned:
            self._warned = True  # once a training; the groups of every epoch are in its history
            warnings.warn(
                f"mean-shift made {found} groups of {seen} classes, the largest of {largest}; "
                f"raise or lower neighbours={self.neighbours}",
                stacklevel=4,  # past adapt and its no_grad
            )
