"""The interface of every augmenter: what it may know of the training that it joins, and the hooks by which it acts.

There are seven hooks. An augmenter overrides those that it needs; a task refuses one whose hooks it does not call.

    begin_epoch   before an epoch                    every task
    select        which images make a batch          classifiers
    images        the batch's images                 classifiers
    mix           what the real loss is of           every task
    loss          a further loss                     every task
    phase         what learns in this epoch          detectors (fasa.mmdet.alternation)
    end_epoch     after an epoch, with validation    every task
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fasa.augmenters import AUGMENTERS
from fasa.errors import UserError
from fasa.method.virtual_loss import Criterion, VirtualLoss

HOOKS = ("begin_epoch", "select", "images", "mix", "loss", "phase", "end_epoch")
Phase = Literal["all", "classifier", "features"]


@dataclass(kw_only=True)
class TrainingContext:
    """What an augmenter may know of a training of any task.

    Attributes:
        classifier: features ``[n, d]`` to logits ``[n, channels]``.
        embed: maps ``[n, c, h, w]`` to the classifier's features ``[n, d]``.
        criterion: logits and labels to losses, or to losses and weights.
        class_counts: training examples of each class, ``[C]``.
        feature_dim: ``d``.
        generator: source of all random numbers; None: torch's default, as in ``torch.rand``.
    """

    kind: ClassVar[str] = "any training"
    hooks: ClassVar[frozenset[str]] = frozenset({"begin_epoch", "mix", "loss", "end_epoch"})  # that the task calls

    classifier: nn.Module
    embed: Callable[[Tensor], Tensor]
    criterion: Criterion
    class_counts: Tensor
    feature_dim: int
    generator: torch.Generator | None = None


@dataclass(kw_only=True)
class ImageContext(TrainingContext):
    """What the training of a classifier has beside: labelled images, at hand at any time.

    Attributes:
        network: normalised images ``[n, 3, H, W]`` to maps ``[n, c, h, w]``.
        normalise: images with values in 0..1 to network input.
        load_images: training indices ``[n]`` to uncropped images with values in 0..1.
        labels: labels of all training images, ``[N]``.
        batch_size: training images of a step.
        class_weights: the classifier's weight vector of each class, ``[C, d]``; they change as it learns.
        unweighted_criterion: losses ``[n]`` as ``criterion``'s, without margins and class weights.
        teacher: a frozen classifier from an earlier run, normalised images to logits; None if the recipe names none.
    """

    kind = "the training of a classifier on images"
    hooks = TrainingContext.hooks | {"select", "images"}

    network: nn.Module
    normalise: Callable[[Tensor], Tensor]
    load_images: Callable[[Tensor], Tensor]
    labels: Tensor
    batch_size: int
    class_weights: Tensor
    unweighted_criterion: Callable[[Tensor, Tensor], Tensor]
    teacher: nn.Module | None = None


@dataclass(kw_only=True)
class RoIContext(TrainingContext):
    """What the training of a box head has beside.

    Attributes:
        class_probabilities: logits ``[n, channels]`` to probabilities at inference, ``[n, C + 1]``, background last.
    """

    kind = "the training of a detector"
    hooks = TrainingContext.hooks | {"phase"}

    class_probabilities: Callable[[Tensor], Tensor]


class Batch(NamedTuple):
    """The examples of a step on their way through the classifier, with their gradients.

    ``maps [n, c, h, w]`` give ``features [n, d]`` (the context's ``embed``), those ``scores [n, channels]``. ``labels
    [n]`` outside ``[0, C)`` are background.
    """

    maps: Tensor
    features: Tensor
    scores: Tensor
    labels: Tensor


class Mixture(NamedTuple):
    """What the real loss is of, in place of a batch: ``own * L(scores, labels) + (1 - own) * L(scores, other_labels)``.

    ``scores [m, channels]``, labels ``[m]``; in a detector, RoI by RoI as in the batch. Without ``other_labels``, of
    ``labels`` alone.
    """

    scores: Tensor
    labels: Tensor
    other_labels: Tensor | None = None
    own: float = 1.0


@dataclass
class Validation:
    """Sums of each class over held-out examples: loss, hits, number; each ``[C]``, or more with a background last."""

    loss: Tensor
    correct: Tensor
    count: Tensor


class Augmenter(nn.Module):
    """No augmentation: every hook leaves things as they are.

    Its buffers are part of the checkpoint; whatever it derives from the context it derives again on resuming.
    """

    #: What it must be given.
    needs: ClassVar[type[TrainingContext]] = TrainingContext
    #: Whether a step may be captured in a CUDA graph: static shapes, no host-device synchronisation.
    graphable: ClassVar[bool] = True

    def __init__(self, context: TrainingContext) -> None:
        super().__init__()
        # No module: what is in it belongs to the training, and a checkpoint should hold it once.
        self.context = context

    @classmethod
    def hooks(cls) -> set[str]:
        """The hooks by which it acts."""
        return {name for name in HOOKS if getattr(cls, name) is not getattr(Augmenter, name)}

    @classmethod
    def adapts(cls, options: Mapping[str, Any]) -> bool:
        """Whether, with these options, it asks for the validation of held-out examples."""
        return False

    def begin_epoch(self, epoch: int) -> None:
        """Hear that ``epoch``, counted from 0, begins."""

    def select(self, indices: Tensor) -> Tensor:
        """Choose the training images ``[n]`` of a batch."""
        return indices

    def images(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Change a batch of images ``[n, 3, H, W]``, values in 0..1, and labels ``[n]``."""
        return images, labels

    def mix(self, batch: Batch) -> Mixture | None:
        """What the real loss is of in place of ``batch``; None: of the batch as it is."""
        return None

    def loss(self, batch: Batch) -> Tensor | VirtualLoss | None:
        """A further loss: 0-d, to be added, or one that joins the real examples' mean (``total_loss``)."""
        return None

    @property
    def phase(self) -> Phase:
        """What learns in the present epoch: all, the classifier alone, or all but the classifier."""
        return "all"

    def end_epoch(self, validate: Callable[[], Validation]) -> dict[str, Any]:
        """End an epoch; ``validate`` runs the held-out examples if called. Returns entries for the run's history."""
        return {}


def build_augmenter(name: str, options: Mapping[str, Any], context: TrainingContext, where: str) -> Augmenter:
    """The augmenter ``name`` of :data:`fasa.augmenters.AUGMENTERS`, in the training that ``context`` tells of.

    Args:
        where: what names it, such as "recipe 'crt'", for the message of an error.

    Raises:
        UserError: an unknown name, an augmenter that this training cannot serve, or options that it refuses.
    """
    augmenter = augmenter_class(name, type(context), where)
    try:
        with torch.no_grad():
            return augmenter(context, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}, augmenter '{name}': {error}; correct its options.") from error


def augmenter_class(name: str, context: type[TrainingContext], where: str) -> type[Augmenter]:
    """The class of the augmenter ``name`` for a training of the kind ``context``.

    Raises:
        UserError: an unknown name, or an augmenter that such a training cannot serve.
    """
    if name not in AUGMENTERS:
        raise UserError(f"{where}: unknown augmenter '{name}'; known: {', '.join(AUGMENTERS)}.")
    classes = AUGMENTERS[name].load()
    refusals = [_refusal(each, context) for each in classes]
    if None not in refusals:
        raise UserError(f"{where}: augmenter '{name}' {refusals[0]}; choose another.")
    return classes[refusals.index(None)]


def _refusal(augmenter: type[Augmenter], context: type[TrainingContext]) -> str | None:
    """Why ``context`` cannot serve an augmenter, as the end of a sentence; None if it can."""
    if uncalled := augmenter.hooks() - context.hooks:
        return f"acts by {_listed(uncalled)}, which {context.kind} does not call"
    if not issubclass(context, augmenter.needs):
        return f"needs what only {augmenter.needs.kind} has, for {_listed(augmenter.hooks())}; this is {context.kind}"
    return None


def _listed(hooks: set[str]) -> str:
    return ", ".join(f"the hook '{name}'" for name in HOOKS if name in hooks)
