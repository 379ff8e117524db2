"""The catalogue of glyphs: enough of them, all drawn, and no two alike."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from fasa.datasets.glyphs.catalogue import FONTS, catalogue, font, glyphs, ink, master, parse
from fasa.datasets.glyphs.selection import (
    BATCHES,
    OVERLAP,
    TURNS,
    body,
    choose,
    likeness,
    likeness_vectors,
    overlap,
    silhouette,
    topology,
)
from fasa.errors import UserError

FIRST = 80  # glyphs, of those that differ most; all pairs of the catalogue would take a minute


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


def test_no_two_are_twins():
    pictures = [master(glyph) for glyph in glyphs(0, FIRST)]
    vectors = np.stack([likeness_vectors(picture) for picture in pictures])
    alike = np.stack([likeness(vector[TURNS.index(0)], vectors) for vector in vectors])
    # it is the later of two glyphs that was turned against the earlier, and the catalogue is shuffled since
    assert (np.minimum(alike, alike.T) - 2 * np.eye(FIRST)).max() <= BATCHES[0][0] + 1e-6


def test_no_two_cover_four_fifths_of_each_other():
    silhouettes = np.stack([silhouette(master(glyph)) for glyph in catalogue()])
    areas = silhouettes.sum(axis=1)
    common = silhouettes @ silhouettes.T
    shares = common / (areas[:, None] + areas - common)
    np.testing.assert_allclose(shares[7], overlap(silhouettes[7], silhouettes), rtol=1e-5)
    assert (shares - np.eye(len(shares))).max() <= OVERLAP


@pytest.mark.parametrize(
    ("twins", "kept"),
    [
        (["B4F+0", "B30+0", "B41E+0", "B39F+0"], 1),  # O, zero, Cyrillic and Greek O
        (["B41+0", "B391+0", "B410+0", "D41+0"], 1),  # A in three scripts, and light
        (["B36+0", "B39+0"], 2),  # 6 and 9: half a turn apart, and scenes turn by 25 degrees at most
        (["B2192+0", "B2197+0"], 1),  # arrows an eighth of a turn apart
        (["B2192+0", "B2190+0"], 2),  # arrows to the right and to the left
        (["D25D+0", "D25D+4"], 1),  # one letter in two weights
        (["B42+0", "B44+0", "B45+0"], 3),
    ],
)
def test_of_twins_one_stays(twins, kept):
    chosen = choose(twins, [master(parse(token)) for token in twins])
    assert len(chosen) == kept and set(chosen) <= set(twins)


@pytest.mark.parametrize(("first", "count"), [(0, 2000), (1550, 100), (-1, 5), (0, 0)])
def test_asking_for_glyphs_that_are_not_there(first, count):
    with pytest.raises(UserError, match="the catalogue has 1565"):
        glyphs(first, count)


def test_the_first_glyphs_have_heavy_strokes():
    bodies = [body(master(glyph)) for glyph in glyphs(0, FIRST)]
    assert min(bodies) >= BATCHES[0][1]
    assert any(glyph.weight for glyph in glyphs(0, FIRST))  # some were made so


def test_weight_never_closes_a_gap():
    for glyph in [glyph for glyph in catalogue() if glyph.weight][:40]:
        light, heavy = ink(glyph.character, font(glyph.font)), master(glyph)
        assert topology(light) == topology(heavy)
        assert body(light) < body(heavy)
