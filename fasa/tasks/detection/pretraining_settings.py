"""How a small detector's backbone is pre-trained: read without torch, as a scale says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fasa.datasets.glyphs.catalogue import glyphs
from fasa.errors import UserError

FIRST_SPELLING = {"batch_size": "batch", "lr": "rate"}  # in fingerprints, so that files made under old names stay valid


@dataclass(frozen=True)
class Pretraining:
    """What the backbone is trained on, and how: ``classes`` glyphs from number ``first_class`` of the catalogue on.

    ``sides`` are sizes of pictures in pixels, of which each batch has a random one; pictures are drawn at the largest.
    ``texture`` is that of the scenes. ``shift`` and ``stretch`` are how far a picture is moved and resized at most, as
    shares of its side.
    """

    first_class: int
    classes: int
    per_class: int
    epochs: int
    sides: tuple[int, ...] = (32, 48, 64)
    batch_size: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.05
    texture: float = 1.0
    shift: float = 0.0
    stretch: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Turn ``sides`` into a tuple and check the numbers.

        Raises:
            UserError: a number is out of its range.
        """
        object.__setattr__(self, "sides", tuple(self.sides))
        for field in ("classes", "per_class", "epochs", "batch_size"):
            if getattr(self, field) < 1:
                raise UserError(f"pretraining: {field} is {getattr(self, field)}, but must be at least 1.")
        if self.batch_size < 2 or self.batch_size > self.classes * self.per_class:
            raise UserError(f"pretraining: batch_size is {self.batch_size}, but must be 2 to the number of pictures.")
        if not self.sides:
            raise UserError("pretraining: sides is empty; give at least one side in pixels.")
        if not all(16 <= side <= 1024 for side in self.sides):
            raise UserError(f"pretraining: sides are {list(self.sides)}, but must be between 16 and 1024.")
        if self.lr <= 0 or self.weight_decay < 0 or self.seed < 0:
            raise UserError("pretraining: lr must be above 0, weight_decay and seed not negative.")
        if not (0 <= self.texture <= 2 and 0 <= self.shift < 1 and 0 <= self.stretch < 1):
            raise UserError("pretraining: texture must be 0 to 2, shift and stretch at least 0 and below 1.")
        glyphs(self.first_class, self.classes)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it, for a fingerprint."""
        settings = {**asdict(self), "sides": list(self.sides)}
        return {FIRST_SPELLING.get(name, name): value for name, value in settings.items()}
