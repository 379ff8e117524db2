"""The glyphs that scenes are made of: a fixed, ordered catalogue over the fonts that ship with matplotlib."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from fasa.errors import UserError

# By their letters in catalogue.txt. Most are bold: a heavy stroke still shows in a glyph of 16 pixels.
FONTS = {
    "B": "DejaVuSans-Bold.ttf",
    "D": "DejaVuSans.ttf",
    "E": "DejaVuSerif-Bold.ttf",
    "S": "STIXGeneral.ttf",
    "I": "STIXGeneralBolIta.ttf",
    "M": "DejaVuSansMono-Bold.ttf",
}
EM = 160  # pixels of the em square that a master is drawn at; scenes only ever shrink it


@dataclass(frozen=True)
class Glyph:
    """One character in one font: a category."""

    character: str
    font: str
    weight: int  # pixels, of an em of 160, that are added around its strokes

    @property
    def name(self) -> str:
        """The character's Unicode name as a word of LVIS's kind: ``greek_small_letter_theta``."""
        return unicodedata.name(self.character).lower().replace(" ", "_").replace("-", "_")


@lru_cache(maxsize=1)
def catalogue() -> tuple[Glyph, ...]:
    """Every glyph, no two of them alike; the further down the list, the nearer its nearest neighbour may be."""
    lines = Path(__file__).with_name("catalogue.txt").read_text(encoding="utf-8").splitlines()
    return tuple(_parse(entry) for line in lines if not line.startswith("#") for entry in line.split())


def _parse(entry: str) -> Glyph:
    """The glyph of an entry such as ``D25D+4``: font, code point, added weight."""
    code, weight = entry[1:].split("+")
    return Glyph(chr(int(code, 16)), FONTS[entry[0]], int(weight))


def glyphs(first: int, count: int) -> tuple[Glyph, ...]:
    """The ``count`` glyphs of the catalogue from number ``first`` (from 0) on.

    Raises:
        UserError: the catalogue has not that many.
    """
    size = len(catalogue())
    if first < 0 or count < 1 or first + count > size:
        raise UserError(
            f"{count} glyphs from number {first} on are asked for, but the catalogue has {size}: "
            f"lower the number of classes or first_class."
        )
    return catalogue()[first : first + count]


@lru_cache(maxsize=len(FONTS))
def font(name: str, size: int = EM) -> ImageFont.FreeTypeFont:
    """One of matplotlib's fonts, ``size`` pixels an em, laid out without regard to the neighbours of a glyph.

    Raises:
        UserError: matplotlib is not installed, or without this font.
    """
    package = find_spec("matplotlib")  # found, not imported: that would cost more than all our drawing
    folders = list(package.submodule_search_locations or ()) if package else []
    for folder in folders:
        path = Path(folder) / "mpl-data" / "fonts" / "ttf" / name
        if path.is_file():
            return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
    raise UserError(f"The font {name} that ships with matplotlib is not there: install matplotlib again.")


@lru_cache(maxsize=4096)
def master(glyph: Glyph) -> Image.Image:
    """The glyph in white on black, mode L, cropped to its ink, for an em of 160 pixels."""
    return ink(glyph.character, font(glyph.font), glyph.weight)


def ink(character: str, face: ImageFont.FreeTypeFont, weight: int = 0) -> Image.Image:
    """A character in white on black, mode L, cropped to its ink; one black pixel if it has none.

    ``weight`` is the number of pixels that are added around its strokes.
    """
    left, top, right, bottom = face.getbbox(character, stroke_width=weight)
    canvas = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(canvas).text((-left, -top), character, font=face, fill=255, stroke_width=weight)
    return canvas.crop(canvas.getbbox() or (0, 0, 1, 1))
