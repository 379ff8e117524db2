"""The interface of every augmenter: what it may know of the training that it joins, and the hooks by which it acts.

There are seven hooks. An augmenter overrides those that it needs; a task refuses one whose hooks it does not call, by
name and before anything is trained (:mod:`fasa.augmenters.trainings`).

    begin_epoch   before an epoch                    every task
    select        which images make a batch          classifiers
    images        the batch's images                 classifiers
    mix           what the real loss is of           classifiers and detectors
    loss          a further loss                     every task
    phase         what learns in this epoch          detectors (fasa.mmdet.alternation)
    end_epoch     after an epoch, with validation    every task

In a detector the label ``C`` is background: :meth:`TrainingContext.counts_of` and :meth:`TrainingContext.partners` know
it, so that what counts or pairs by class is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fasa.augmenters.installed import augmenters
from fasa.augmenters.trainings import HOOKS, TRAININGS, Refusal, refusal
from fasa.errors import UserError
from fasa.method.virtual_loss import Criterion, VirtualLoss

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

    classifier: nn.Module
    embed: Callable[[Tensor], Tensor]
    criterion: Criterion
    class_counts: Tensor
    feature_dim: int
    generator: torch.Generator | None = None

    def foreground(self, labels: Tensor) -> Tensor:
        """Which of ``labels [n]`` are classes, not background; boolean ``[n]``."""
        return (labels >= 0) & (labels < len(self.class_counts))

    def counts_of(self, labels: Tensor) -> Tensor:
        """Training examples of the class of each of ``labels [n]``, ``[n]``; background counts as the largest class."""
        counts = self.class_counts = self.class_counts.to(labels.device)  # once: a copy would wait for the device
        return torch.where(self.foreground(labels), counts[labels.clamp(0, len(counts) - 1)], counts.max())

    def partners(self, labels: Tensor) -> Tensor:
        """A random other example for each of ``labels [n]``, sometimes itself: indices ``[n]``, a permutation.

        Classes have partners among classes, and background is its own. Static shapes, no host-device synchronisation.
        """
        background = ~self.foreground(labels)
        chance = torch.rand(len(labels), generator=self.generator, device=labels.device)
        # Both orders end with the background, as it stands.
        shuffled = chance.masked_fill(background, 2).argsort(stable=True)
        return torch.empty_like(shuffled).index_copy(0, background.long().argsort(stable=True), shuffled)


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


class Targets(NamedTuple):
    """What examples are trained for: ``labels [n]``, or two labels each, ``own`` of one and the rest of ``others [n]``.

    The loss of an example is ``own * L(labels) + (1 - own) * L(others)``; ``own`` is one number, or of each example
    ``[n]``. So are Mixup's, CutMix's and Remix's soft labels.
    """

    labels: Tensor
    others: Tensor | None = None
    own: Tensor | float = 1.0

    @classmethod
    def of(cls, given: Tensor | Targets) -> Targets:
        """Labels ``[n]`` as targets."""
        return given if isinstance(given, Targets) else Targets(given)


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
    #: Whether ``loss`` looks at the batch's scores; if not, a training may leave them empty.
    needs_scores: ClassVar[bool] = True

    def __init__(self, context: TrainingContext) -> None:
        super().__init__()
        # No module: what is in it belongs to the training, and a checkpoint should hold it once.
        self.context = context

    @classmethod
    def hooks(cls) -> set[str]:
        """The hooks by which it acts."""
        return cls.methods() & {*HOOKS}

    @classmethod
    def methods(cls) -> set[str]:
        """The names that it and its bases define beyond this class."""
        beyond = [each for each in cls.__mro__ if not issubclass(Augmenter, each)]
        return {name for each in beyond for name in vars(each)}

    @classmethod
    def adapts(cls, options: Mapping[str, Any]) -> bool:
        """Whether, with these options, it asks for the validation of held-out examples."""
        return False

    def begin_epoch(self, epoch: int) -> None:
        """Hear that ``epoch``, counted from 0, begins."""

    def select(self, indices: Tensor) -> Tensor:
        """Choose the training images ``[n]`` of a batch."""
        return indices

    def images(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | Targets]:
        """Change a batch of images ``[n, 3, H, W]``, values in 0..1, and labels ``[n]``."""
        return images, labels

    def mix(self, batch: Batch) -> tuple[Tensor, Tensor | Targets] | None:
        """Scores ``[m, channels]`` and labels ``[m]`` that the real loss is of; None: the batch's.

        In a detector, RoI by RoI as in the batch.
        """
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
    """The augmenter ``name``, ours or an installed package's, in the training that ``context`` tells of.

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
        UserError: an unknown name, an augmenter that such a training cannot serve, or a class that is none.
    """
    known = augmenters()
    if name not in known:
        raise UserError(f"{where}: unknown augmenter '{name}'; known: {', '.join(known)}.")
    classes = known[name].load()
    for each in classes:
        if not (isinstance(each, type) and issubclass(each, Augmenter)):
            raise UserError(
                f"{where}: augmenter '{name}' is no subclass of fasa.augmenters.base.Augmenter; make it one."
            )
    refusals = []
    for each in classes:
        if (refused := _refusal(each, context)) is None:
            return each
        refusals.append(refused.told)
    raise UserError(f"{where}: augmenter '{name}' {refusals[-1]}; choose another.")


def _refusal(augmenter: type[Augmenter], context: type[TrainingContext]) -> Refusal | None:
    if augmenter is Augmenter:  # none
        return None
    return refusal(augmenter.methods(), augmenter.needs.__name__, TRAININGS[context.__name__])
