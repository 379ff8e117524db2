"""How the features that stand for a detector's lie: read without torch, as it enters fingerprints."""

from __future__ import annotations

from dataclasses import dataclass

from fasa.errors import UserError

EACH = 2  # regions of an object in a step, as several proposals cover it
FOREGROUND = 0.2  # share of a step's regions that are of objects; a detector's sampler takes at most a quarter
ITERATION = 16  # images of an iteration of the paper, whose statistics are one update of eq 2
PER_PROCESS = 2  # of them
SAMPLED = 1024.0  # regions of an iteration and process, of two images, whose mean is a detector's real loss


@dataclass(frozen=True)
class Geometry:
    """How classes, objects and regions lie in feature space; standard deviations of each dimension, before the ReLU.

    A feature is ``relu(class + object + region)``: a class's mean lies around one of some ``kinds`` (classes that look
    alike), an object around its class, and the regions that cover it around the object.

    Args:
        dim: dimensions.
        kinds: of classes.
        between_kinds: of the kinds' means.
        between_classes: of the classes' means around their kind's.
        within: of a class's regions around its mean, objects and regions together; classes vary by 0.6 to 1.4 of it.
        object_share: the share of that variance that is between objects.
        background: of background regions around 0.
        beside: the share of background regions that lie beside an object and show part of it.
        shown: how much of it: that share of its feature before the ReLU, and background for the rest.
        remembered: objects of a class that differ; of larger classes each stands for several.
        drift: by how many radians the features turn in the course of a training, most of it early.

    Raises:
        UserError: a number out of its range.
    """

    dim: int = 64
    kinds: int = 40
    between_kinds: float = 1.0
    between_classes: float = 0.8
    within: float = 1.8
    object_share: float = 0.81
    background: float = 3.5
    beside: float = 0.5
    shown: float = 0.7
    remembered: int = 200
    drift: float = 0.0

    def __post_init__(self) -> None:
        spreads = self.between_kinds, self.between_classes, self.within, self.background
        shares = self.object_share, self.beside, self.shown
        fitting = self.dim >= 2 and min(self.kinds, self.remembered) >= 1 and min(spreads) >= 0
        if not (fitting and min(shares) >= 0 and max(shares) <= 1):
            raise UserError(
                "dim must be at least 2, kinds and remembered at least 1, no standard deviation negative, and "
                "object_share, beside and shown 0 to 1."
            )
