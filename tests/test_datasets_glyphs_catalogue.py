"""The catalogue of glyphs: enough of them, all drawn, and no two alike."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from fasa.datasets.glyphs.catalogue import FONTS, catalogue, font, glyphs, ink, master
from fasa.datasets.glyphs.selection import (
    LIMITS,
    OVERLAP,
    TURNS,
    choose,
    likeness,
    likeness_vectors,
    overlap,
    silhouette,
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
    assert glyphs(1, 1)[0].name == "latin_capital_letter_y"


def test_no_two_are_twins():
    pictures = [master(glyph) for glyph in glyphs(0, FIRST)]
    vectors = np.stack([likeness_vectors(picture) for picture in pictures])
    alike = np.stack([likeness(vector[TURNS.index(0)], vectors) for vector in vectors])
    # it is the later of two glyphs that was turned against the earlier, and the catalogue is shuffled since
    assert (np.minimum(alike, alike.T) - 2 * np.eye(FIRST)).max() <= LIMITS[0] + 1e-6


def test_no_two_cover_four_fifths_of_each_other():
    silhouettes = np.stack([silhouette(master(glyph)) for glyph in catalogue()])
    for number in range(1, len(silhouettes)):
        assert overlap(silhouettes[number], silhouettes[:number]).max() <= OVERLAP


@pytest.mark.parametrize(
    ("twins", "kept"),
    [
        (["B4F", "B30", "B41E", "B39F"], 1),  # O, zero, Cyrillic and Greek O
        (["B41", "B391", "B410", "D41"], 1),  # A in three scripts, and light
        (["B36", "B39"], 2),  # 6 and 9: half a turn apart, and scenes turn by 25 degrees at most
        (["B2192", "B2197"], 1),  # arrows an eighth of a turn apart
        (["B2192", "B2190"], 2),  # arrows to the right and to the left
        (["B42", "B44", "B45"], 3),
    ],
)
def test_of_twins_one_stays(twins, kept):
    pictures = [ink(chr(int(token[1:], 16)), font(FONTS[token[0]])) for token in twins]
    chosen = choose(twins, pictures)
    assert len(chosen) == kept
    assert twins[0] in chosen


@pytest.mark.parametrize(("first", "count"), [(0, 2000), (1500, 100), (-1, 5), (0, 0)])
def test_asking_for_glyphs_that_are_not_there(first, count):
    with pytest.raises(UserError, match="the catalogue has 1507"):
        glyphs(first, count)
