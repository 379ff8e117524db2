"""What a data set of scenes is made from: the numbers that, with the versions of pillow and numpy, fix every byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from fasa.datasets.glyphs.catalogue import glyphs
from fasa.errors import UserError

SMALLEST_GLYPH = 8  # pixels; below that most glyphs are blots
LARGEST_GLYPH = 160  # pixels; the masters are that large, and enlarging them would blur
RANGES = ("objects", "size", "strokes")


@dataclass(frozen=True)
class Look:
    """How a picture is drawn, whatever is in it."""

    side: int  # pixels
    size: tuple[float, float] = (0.14, 0.5)  # longest side of an upright glyph, as a share of the picture's side
    most_hidden: float = 0.5  # no object has more than this share of its area covered or cut off
    strokes: tuple[int, int] = (0, 4)  # lines and arcs that belong to no category, behind and in front
    texture: float = 1.0  # strength of patterns and noise: 0 flat, 1 rich


@dataclass(frozen=True)
class GlyphScenes:
    """A data set of generated scenes; ranges are inclusive, and lists are taken for tuples.

    Raises:
        UserError: a number is of the wrong kind or out of its range; the message names it.
    """

    classes: int
    train_images: int
    val_images: int
    side: int  # pixels
    objects: tuple[int, int]  # annotated objects of a scene; those that are not annotated come on top
    seed: int = 0
    size: tuple[float, float] = Look.size
    most_hidden: float = Look.most_hidden
    strokes: tuple[int, int] = Look.strokes
    texture: float = Look.texture

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> GlyphScenes:
        """The data set of these options, a config's or spec.json's.

        Raises:
            UserError: one of them is unknown, missing or wrong.
        """
        known = {field.name: field.default is MISSING for field in fields(cls)}
        if unknown := options.keys() - known:
            raise UserError(f"glyphs: {min(unknown)} is no option: choose from {', '.join(known)}.")
        if missing := [name for name, required in known.items() if required and name not in options]:
            raise UserError(f"glyphs: {missing[0]} is missing: give it a number.")
        return cls(**options)

    def __post_init__(self) -> None:
        """Check every field."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in RANGES:
                object.__setattr__(self, field.name, self._range(field.name, value))
            elif not isinstance(value, (int, float)) or isinstance(value, bool):
                raise UserError(f"glyphs: {field.name} is {value!r}, but must be a number.")
            elif field.type == "float":
                object.__setattr__(self, field.name, float(value))  # 1 and 1.0 give the same spec.json
            elif not isinstance(value, int):
                raise UserError(f"glyphs: {field.name} is {value!r}, but must be a whole number.")
        self._within("classes", 2)
        self._within("train_images", 1)
        self._within("val_images", 1)
        self._within("side", 32, 1024)
        self._within("objects", 1, 64)
        self._within("seed", 0)
        self._within("size", SMALLEST_GLYPH / self.side, min(0.8, LARGEST_GLYPH / self.side))
        self._within("most_hidden", 0, 0.7)
        self._within("strokes", 0, 32)
        self._within("texture", 0, 2)
        glyphs(0, self.classes)

    def _range(self, name: str, value: Any) -> tuple[Any, Any]:
        kinds = (int, float) if name == "size" else (int,)
        pair = tuple(value) if isinstance(value, (list, tuple)) else ()
        if len(pair) != 2 or not all(isinstance(end, kinds) and not isinstance(end, bool) for end in pair):
            raise UserError(f"glyphs: {name} is {value!r}, but must be two numbers, the least and the most.")
        if pair[0] > pair[1]:
            raise UserError(f"glyphs: {name} is {value!r}, but its first number must not exceed its second.")
        return (float(pair[0]), float(pair[1])) if name == "size" else pair

    def _within(self, name: str, least: float, most: float = float("inf")) -> None:
        value = getattr(self, name)
        low, high = value if name in RANGES else (value, value)
        if not (least <= low and high <= most):
            allowed = f"at least {least:g}" if most == float("inf") else f"between {least:g} and {most:g}"
            raise UserError(f"glyphs: {name} is {value!r}, but must be {allowed}.")

    @property
    def look(self) -> Look:
        """The part that the drawing of one scene needs."""
        return Look(self.side, self.size, self.most_hidden, self.strokes, self.texture)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: ranges are lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
