"""Draw a whole scene: its objects, in random order of depth, among strokes that belong to no class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fasa.datasets.glyphs.canvas import Canvas
from fasa.datasets.glyphs.catalogue import Glyph
from fasa.datasets.glyphs.spec import SMALLEST_GLYPH, Look
from fasa.errors import UserError

TRIES = 40  # places for one object before the scene is begun anew
SHRINK = 0.9  # of all sizes at each new beginning, so that a crowded scene comes to an end
BEGINNINGS = 20
CROWD = 0.3  # at most, of an object's box may at first be others' pixels; the more tries fail, the more
BEYOND = 0.15  # of an object may start beyond the edge; how much of it may be lost, the look says


@dataclass(frozen=True)
class Scene:
    """pixels uint8 [side, side, 3]; masks, one for each object in the order given, bool [side, side], never empty."""

    pixels: np.ndarray
    masks: list[np.ndarray]


def draw_scene(seed: np.random.SeedSequence, objects: Sequence[Glyph], look: Look) -> Scene:
    """Draw ``objects``, all of them; the same seed gives the same scene.

    Raises:
        UserError: they do not fit into the picture even when they are small.
    """
    rng = np.random.default_rng(seed)
    for beginning in range(BEGINNINGS):
        canvas = Canvas(rng, look)
        depth = rng.permutation(len(objects)).tolist()  # the objects from the back to the front
        scale = SHRINK**beginning
        behind, before = _strokes(rng, look)
        for _ in range(behind):
            canvas.scratch()
        if all(_place(canvas, objects[number], scale) for number in depth):
            for _ in range(before):
                canvas.scratch()
            return Scene(canvas.finish(), [canvas.mask(depth.index(number)) for number in range(len(objects))])
    raise UserError(f"glyphs: {len(objects)} objects do not fit into {look.side} pixels: change objects, side or size.")


def _strokes(rng: np.random.Generator, look: Look) -> tuple[int, int]:
    number = int(rng.integers(*look.strokes, endpoint=True))
    before = int(rng.binomial(number, 0.4))
    return number - before, before


def _place(canvas: Canvas, glyph: Glyph, scale: float) -> bool:
    rng, side = canvas.rng, canvas.look.side
    low, high = (max(SMALLEST_GLYPH, share * side * scale) for share in canvas.look.size)
    company = rng.uniform(0, CROWD)
    for attempt in range(TRIES):
        # as many small ones as large ones, on a scale of octaves
        alpha = canvas.stamp(glyph, math.exp(rng.uniform(math.log(low), math.log(high))))
        top, left = (
            int(rng.integers(-int(BEYOND * length), max(1, side - int((1 - BEYOND) * length))))
            for length in alpha.shape
        )
        if canvas.place(alpha, top, left, company + attempt / TRIES):
            return True
    return False
