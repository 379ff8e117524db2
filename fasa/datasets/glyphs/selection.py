"""How the catalogue's table was chosen: `python -m fasa.datasets.glyphs.selection` prints it again (in minutes).

Scenes turn and stretch their glyphs, so two of them are twins when their pictures agree after scaling to one size, with
or without their proportions, and turning one against the other. Of twins the first stays: O but not 0, one of A, Α, А.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageFont
from scipy import ndimage

from fasa.datasets.glyphs.catalogue import FONTS, font, ink, parse

GRID, MARGIN = 24, 2  # pixels of a side that glyphs are compared at, and of the empty edge
BLUR = 1.0  # pixels, so that a thin and a heavy stroke along the same path agree
TURNS = tuple(range(-45, 46, 9))  # degrees: two glyphs that scenes turn by up to 25 each may differ by 50
# Glyphs that correlate by less than .75 come first, so that few classes are easier than many.
# Glyphs of heavy strokes come first as well: the mask of a thin one is a matter of single pixels.
BATCHES = ((0.75, 0.085), (0.82, 0.085), (0.88, 0.0))  # (correlation at most, body at least)
OVERLAP = 0.8  # IoU of two upright glyphs; heavy frames with something small in them correlate less than they overlap
FINE = 48  # pixels of a side that this is measured at
BODY = 0.1  # half of a stroke's width, as a share of the glyph's longest side, that thin glyphs are brought to
THINNEST = 0.04  # of those that are taken at all
HEAVIEST = 12  # pixels that are added at most
CHARACTERS = (*range(0x21, 0x3000), *range(0xA000, 0xAC00), *range(0x1F000, 0x1F700))
# Modifiers and tone bars, box drawing, Braille: the same few dots and bars again and again.
LEFT_OUT = (range(0x2B0, 0x370), range(0x2500, 0x25A0), range(0x2800, 0x2900), range(0xA700, 0xA720))
TILES = range(0x1F030, 0x1F100)  # dominoes and playing cards: all detail, no shape
EIGHT = np.ones((3, 3))  # neighbours that hang together


def candidates() -> Iterator[tuple[str, Image.Image]]:
    """Each token of the table that could be, with its picture: letters, digits, punctuation, symbols of some body."""
    for letter, name in FONTS.items():
        face = font(name)
        missing = ink("\uffff", face).tobytes()  # the box that a font shows for what it has not
        for code in CHARACTERS:
            character = chr(code)
            if any(code in part for part in (*LEFT_OUT, TILES)) or unicodedata.decomposition(character):
                continue  # a letter with an accent, or a second code of another character
            if unicodedata.category(character)[0] not in "LNPS":
                continue
            picture = ink(character, face)
            if picture.tobytes() == missing or not _is_sturdy(picture):
                continue
            yield f"{letter}{code:X}+0", picture
            weight = _weight(character, face, picture)
            if weight:
                yield f"{letter}{code:X}+{weight}", ink(character, face, weight)


def _is_sturdy(picture: Image.Image) -> bool:
    """Whether a glyph is large, squarish, neither solid nor thin, and of few parts with none of them tiny."""
    width, height = picture.size
    if max(width, height) < 60 or max(width, height) > 2.2 * min(width, height):
        return False
    if not 0.15 < _filled(picture).sum() / (width * height) < 0.8 or body(picture) < THINNEST:
        return False
    parts, count = ndimage.label(_filled(picture), EIGHT)
    areas = np.bincount(parts.ravel())[1:]
    return count <= 4 and bool(areas.min() >= 0.09 * areas.sum())


def body(picture: Image.Image) -> float:
    """Half the width of a glyph's heavy strokes, as a share of its longest side."""
    filled = _filled(picture)
    return float(np.percentile(ndimage.distance_transform_edt(filled)[filled], 90) / max(picture.size))


def _weight(character: str, face: ImageFont.FreeTypeFont, light: Image.Image) -> int:
    """How many pixels to add around a glyph's strokes: until they are heavy, or a gap or a hole is about to close."""
    weight = 0
    while weight < HEAVIEST:
        heavier = ink(character, face, weight + 2)
        share = _filled(heavier).sum() / (heavier.width * heavier.height)
        if body(ink(character, face, weight)) >= BODY or share > 0.7 or topology(heavier) != topology(light):
            break
        if _hole_area(heavier) < 0.4 * _hole_area(light):
            break
        weight += 2
    return weight


def _filled(picture: Image.Image) -> np.ndarray:
    """bool, with an empty pixel on every side."""
    return np.pad(np.asarray(picture) > 127, 1)


def topology(picture: Image.Image) -> tuple[int, int]:
    """The number of a glyph's parts and of its holes."""
    filled = _filled(picture)
    return ndimage.label(filled, EIGHT)[1], ndimage.label(~filled)[1] - 1


def _hole_area(picture: Image.Image) -> int:
    """Pixels inside holes; the ground around a glyph is the part of its first pixel."""
    parts, _ = ndimage.label(~_filled(picture))
    return int((parts > 1).sum())


def likeness_vectors(picture: Image.Image) -> np.ndarray:
    """float32 [11 turns, 2, 24 * 24], each of length 1 and mean 0: in its own proportions and stretched to a square."""
    small = picture.copy()
    small.thumbnail((64, 64), Image.Resampling.BOX)
    vectors = np.empty((len(TURNS), 2, GRID * GRID), dtype=np.float32)
    for turn, degrees in enumerate(TURNS):
        turned = small.rotate(degrees, resample=Image.Resampling.BILINEAR, expand=True)
        turned = turned.crop(turned.getbbox())
        side = GRID - 2 * MARGIN
        scale = side / max(turned.size)
        natural = tuple(max(1, round(length * scale)) for length in turned.size)
        for kind, size in enumerate((natural, (side, side))):
            grid = Image.new("L", (GRID, GRID))
            grid.paste(turned.resize(size, Image.Resampling.BOX), ((GRID - size[0]) // 2, (GRID - size[1]) // 2))
            blurred = ndimage.gaussian_filter(np.asarray(grid, dtype=np.float64), BLUR)
            blurred -= blurred.mean()
            vectors[turn, kind] = (blurred / np.linalg.norm(blurred)).ravel()
    return vectors


def likeness(upright: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """The greatest correlation, [N], of one glyph [2, D] with each of others in all their turns [N, turns, 2, D]."""
    return np.einsum("kd,ntkd->ntk", upright, turned, optimize=True).max(axis=(1, 2))


def silhouette(picture: Image.Image) -> np.ndarray:
    """float32 [48 * 48] of zeros and ones: the upright glyph, scaled in its own proportions and centred."""
    scale = FINE / max(picture.size)
    scaled = picture.resize(tuple(max(1, round(length * scale)) for length in picture.size), Image.Resampling.BOX)
    grid = Image.new("L", (FINE, FINE))
    grid.paste(scaled, ((FINE - scaled.width) // 2, (FINE - scaled.height) // 2))
    return (np.asarray(grid) > 127).astype(np.float32).ravel()


def overlap(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of one silhouette [D] with each of others [N, D]: [N]."""
    common = others @ one
    return common / (one.sum() + others.sum(axis=1) - common)


def choose(tokens: Sequence[str], pictures: Sequence[Image.Image], seed: int = 0) -> list[str]:
    """The tokens that stay of those with these pictures, in the catalogue's order.

    For each batch: every glyph of enough body that is no twin of one before it, and whose character is not there in
    another font; each batch is shuffled, so that any stretch of the catalogue holds all kinds of characters.
    """
    vectors = np.stack([likeness_vectors(picture) for picture in pictures])
    silhouettes = np.stack([silhouette(picture) for picture in pictures])
    nearest = np.full(len(tokens), -1.0)  # the likeness of each to the likest that was chosen
    covered = np.zeros(len(tokens))  # and its greatest overlap with one
    characters: set[str] = set()
    generator = np.random.default_rng(seed)
    chosen: list[str] = []
    bodies = [body(picture) for picture in pictures]
    for limit, least in BATCHES:
        batch = []
        for number, token in enumerate(tokens):
            character = parse(token).character
            twin = nearest[number] > limit or covered[number] > OVERLAP or character in characters
            if twin or bodies[number] < least:
                continue
            batch.append(token)
            characters.add(character)
            nearest = np.maximum(nearest, likeness(vectors[number, TURNS.index(0)], vectors))
            covered = np.maximum(covered, overlap(silhouettes[number], silhouettes))
        chosen += [batch[place] for place in generator.permutation(len(batch))]
    return chosen


def main() -> None:
    """Print the table."""
    tokens, pictures = zip(*candidates(), strict=True)
    print("\n".join(choose(tokens, pictures)))


if __name__ == "__main__":
    main()
