"""The catalogue of glyphs: enough of them, all drawn, and no two alike."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from fasa.datasets.glyphs.canvas import TURN
from fasa.datasets.glyphs.catalogue import FONTS, catalogue, font, glyphs, ink, master
from fasa.errors import UserError

FIRST = 80  # glyphs, of those that differ most; all pairs of the catalogue would take a minute
TURNS = tuple(range(-45, 46, 9))  # degrees: two glyphs that are each turned by up to 25 may differ by 50
EIGHT = np.ones((3, 3))  # neighbours that hang together


def filled(picture: Image.Image) -> np.ndarray:
    """bool, with an empty pixel on every side."""
    return np.pad(np.asarray(picture) > 127, 1)


def body(picture: Image.Image) -> float:
    """Half the width of a glyph's heavy strokes, as a share of its longest side."""
    inside = filled(picture)
    return float(np.percentile(ndimage.distance_transform_edt(inside)[inside], 90) / max(picture.size))


def topology(picture: Image.Image) -> tuple[int, int]:
    """The number of a glyph's parts and of its holes."""
    return ndimage.label(filled(picture), EIGHT)[1], ndimage.label(~filled(picture))[1] - 1


def centred(picture: Image.Image, size: tuple[int, int], side: int) -> np.ndarray:
    """The picture at another size in the middle of a black square, [side, side]."""
    grid = Image.new("L", (side, side))
    grid.paste(picture.resize(size, Image.Resampling.BOX), ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(grid, dtype=np.float64)


def fitting(picture: Image.Image, side: int) -> tuple[int, int]:
    """The size at which the longest side is ``side``."""
    return tuple(max(1, round(length * side / max(picture.size))) for length in picture.size)


def turned_vectors(picture: Image.Image) -> np.ndarray:
    """[turns, 2, 24 * 24], each of length 1 and mean 0: in its own proportions and stretched to a square."""
    small = picture.copy()
    small.thumbnail((64, 64), Image.Resampling.BOX)
    vectors = []
    for degrees in TURNS:
        turned = small.rotate(degrees, resample=Image.Resampling.BILINEAR, expand=True)
        turned = turned.crop(turned.getbbox())
        for size in (fitting(turned, 20), (20, 20)):
            vector = ndimage.gaussian_filter(centred(turned, size, 24), 1.0).ravel()
            vectors.append((vector - vector.mean()) / np.linalg.norm(vector - vector.mean()))
    return np.array(vectors, dtype=np.float32).reshape(len(TURNS), 2, -1)


def test_there_are_enough_for_lvis_and_for_pretraining():
    assert len(catalogue()) >= 1203 + 300
    assert len({glyph.name for glyph in catalogue()}) == len(catalogue())
    assert len({glyph.character for glyph in catalogue()}) == len(catalogue())
    assert {glyph.font for glyph in catalogue()} == set(FONTS.values())


def test_each_is_in_its_font_and_names_itself():
    missing = {name: ink("\uffff", font(name)).tobytes() for name in FONTS.values()}
    for glyph in catalogue():
        picture = master(glyph)
        assert picture.tobytes() != missing[glyph.font], glyph
        assert 60 <= max(picture.size) <= 2.2 * min(picture.size), glyph
        assert not unicodedata.decomposition(glyph.character)  # no accents, no second codes
    assert glyphs(0, 1)[0].name == "greek_capital_letter_sigma"


def test_no_two_look_alike_when_they_are_turned():
    vectors = np.stack([turned_vectors(master(glyph)) for glyph in glyphs(0, FIRST)])
    assert TURNS[-1] > TURN
    upright = vectors[:, TURNS.index(0)]
    alike = np.einsum("mkd,ntkd->mntk", upright, vectors, optimize=True).max(axis=(2, 3))
    # one of the two was upright when the catalogue was chosen
    assert (np.minimum(alike, alike.T) - 2 * np.eye(FIRST)).max() <= 0.75 + 1e-6


def test_no_two_cover_four_fifths_of_each_other():
    pictures = [master(glyph) for glyph in catalogue()]
    shapes = np.stack([centred(picture, fitting(picture, 48), 48).ravel() > 127 for picture in pictures])
    shapes = shapes.astype(np.float32)
    areas, common = shapes.sum(axis=1), shapes @ shapes.T
    shares = common / (areas[:, None] + areas - common)
    assert (shares - np.eye(len(shares))).max() <= 0.8


@pytest.mark.parametrize(("first", "count"), [(0, 2000), (1550, 100), (-1, 5), (0, 0)])
def test_asking_for_glyphs_that_are_not_there(first, count):
    with pytest.raises(UserError, match="the catalogue has 1565"):
        glyphs(first, count)


def test_the_first_glyphs_have_heavy_strokes():
    bodies = [body(master(glyph)) for glyph in glyphs(0, FIRST)]
    assert min(bodies) >= 0.085
    assert any(glyph.weight for glyph in glyphs(0, FIRST))  # some were made so


def test_weight_never_closes_a_gap():
    for glyph in [glyph for glyph in catalogue() if glyph.weight][:40]:
        light, heavy = ink(glyph.character, font(glyph.font)), master(glyph)
        assert topology(light) == topology(heavy)
        assert body(light) < body(heavy)
