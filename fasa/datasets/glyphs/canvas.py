"""A picture that is being drawn: figures over each other, and the figure that owns each pixel."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from fasa.datasets.glyphs.catalogue import Glyph, master
from fasa.datasets.glyphs.spec import Look
from fasa.datasets.glyphs.textures import colour, grain, paint, shade

OPAQUE = 128  # an alpha from which on a pixel belongs to the figure
GROUND = -1  # the owner of a pixel that no figure has
FEWEST_PIXELS = 12  # visible ones of a figure, whatever its share
STRETCH = 0.15  # at most, of a glyph's width against its height
TURN = 25.0  # degrees either way; within them no glyph of the catalogue looks like another
SHADED = 0.3  # of the figures throw a shadow
FINE = 2  # times that strokes are drawn larger, to have smooth edges


class Canvas:
    """A square picture; ``owner`` int16 [side, side] holds the number of the topmost figure of each pixel, or -1."""

    def __init__(self, rng: np.random.Generator, look: Look) -> None:
        self.rng = rng
        self.look = look
        tone = rng.uniform(25, 230, 3)
        self.pixels = paint(rng, look.side, look.side, tone, look.texture)
        self.owner = np.full((look.side, look.side), GROUND, dtype=np.int16)
        self.areas: list[int] = []  # of each whole figure, with what is cut off or covered
        self.tones = [tone]

    def stamp(self, glyph: Glyph, length: float) -> np.ndarray:
        """A glyph's alpha, uint8 [h, w], its longest side ``length`` pixels before it is turned and stretched."""
        picture = master(glyph)
        scale = length / max(picture.size)
        stretch = math.sqrt(1 + self.rng.uniform(0, STRETCH)) ** self.rng.choice((-1, 1))
        size = (max(1, round(picture.width * scale * stretch)), max(1, round(picture.height * scale / stretch)))
        turn = self.rng.uniform(-TURN, TURN)
        # resized to twice the length and turned there: thin strokes survive the turn
        turned = picture.resize((2 * size[0], 2 * size[1]), Image.Resampling.BILINEAR)
        turned = turned.rotate(turn, resample=Image.Resampling.BILINEAR, expand=True)
        turned = turned.reduce(2)
        return np.asarray(turned.crop(turned.getbbox()))

    def place(self, alpha: np.ndarray, top: int, left: int, company: float = 1.0) -> bool:
        """Lay a figure on top, or leave the canvas as it is.

        It is left if too much of this or another figure would be hidden, or if others have more than the share
        ``company`` of the pixels in this one's box.
        """
        side = self.look.side
        upper, lower = max(0, top), min(side, top + len(alpha))
        first, last = max(0, left), min(side, left + alpha.shape[1])
        if upper >= lower or first >= last:
            return False
        box = (slice(upper, lower), slice(first, last))
        inside = alpha[upper - top : lower - top, first - left : last - left]
        area = int((alpha >= OPAQUE).sum())
        own = inside >= OPAQUE
        if (self.owner[box] != GROUND).sum() > company * inside.size:
            return False
        if not self._enough(int(own.sum()), area) or not self._may_cover(box, own):
            return False
        if self.rng.random() < SHADED:
            self._shade(alpha, top, left)
        tone = colour(self.rng, self.tones[-4:] if len(self.tones) < 5 else [self.tones[0], *self.tones[-3:]])
        self._blend(box, inside, paint(self.rng, inside.shape[0], inside.shape[1], tone, self.look.texture))
        self.owner[box][own] = len(self.areas)
        self.areas.append(area)
        self.tones.append(tone)
        return True

    def scratch(self) -> None:
        """Draw a line, an angle or an arc that belongs to no class; it never hides too much of a figure."""
        side, rng = self.look.side, self.rng
        layer = Image.new("L", (side * FINE, side * FINE))
        pen = ImageDraw.Draw(layer)
        points = [tuple(point) for point in (rng.uniform(0, side * FINE, (3, 2))).tolist()]
        width = FINE * int(rng.integers(1, max(2, side // 48), endpoint=True))
        if rng.random() < 0.4:
            (left, top), (right, bottom) = np.sort(np.array(points[:2]), axis=0).tolist()
            start = rng.uniform(0, 360)
            pen.arc((left, top, right + 1, bottom + 1), start, start + rng.uniform(40, 200), fill=255, width=width)
        else:
            pen.line(points[: rng.integers(2, 3, endpoint=True)], fill=255, width=width, joint="curve")
        alpha = np.asarray(layer.reduce(FINE))
        everywhere = (slice(0, side), slice(0, side))
        own = alpha >= OPAQUE
        if self._may_cover(everywhere, own):
            self._blend(everywhere, alpha, rng.uniform(0, 255, 3).astype(np.float32))
            self.owner[own] = GROUND

    def finish(self) -> np.ndarray:
        """The picture, uint8 [side, side, 3], under uneven light and with a camera's noise."""
        light = shade(self.rng, self.look.side, self.look.texture)
        noise = grain(self.rng, self.look.side, self.look.texture)
        return np.clip(np.rint(self.pixels + light[..., None] + noise), 0, 255).astype(np.uint8)

    def mask(self, figure: int) -> np.ndarray:
        """The visible pixels of a figure, bool [side, side]."""
        return self.owner == figure

    def _enough(self, visible: int, area: int) -> bool:
        return visible >= max(FEWEST_PIXELS, (1 - self.look.most_hidden) * area)

    def _may_cover(self, box: tuple[slice, slice], own: np.ndarray) -> bool:
        """Whether every figure shows enough after the pixels ``own`` of ``box`` are covered."""
        covered = self.owner[box][own]
        losses = np.bincount(covered[covered != GROUND], minlength=len(self.areas))
        shown = np.bincount(self.owner[self.owner != GROUND], minlength=len(self.areas))
        return all(self._enough(int(shown[k] - losses[k]), self.areas[k]) for k in np.flatnonzero(losses))

    def _shade(self, alpha: np.ndarray, top: int, left: int) -> None:
        """Darken what lies a little to one side of a figure and above or below it; the pixels stay whose they are."""
        shift = 1 + self.look.side // 128
        side = self.look.side
        down, right = (int(shift * way) for way in self.rng.choice((-1, 1), 2))
        rows = np.arange(max(0, top + down), min(side, top + down + len(alpha)))
        columns = np.arange(max(0, left + right), min(side, left + right + alpha.shape[1]))
        if len(rows) and len(columns):
            dark = 1 - alpha[np.ix_(rows - top - down, columns - left - right)].astype(np.float32) * (0.5 / 255)
            self.pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] *= dark[..., None]

    def _blend(self, box: tuple[slice, slice], alpha: np.ndarray, surface: np.ndarray) -> None:
        share = alpha.astype(np.float32)[..., None] * np.float32(1 / 255)
        self.pixels[box] += share * (surface - self.pixels[box])
