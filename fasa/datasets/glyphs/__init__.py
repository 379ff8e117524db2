"""Generated scenes in LVIS's format whose categories are glyphs: a long tail to train a detector on, from a seed."""

from fasa.datasets.glyphs.crops import crops
from fasa.datasets.glyphs.files import verify
from fasa.datasets.glyphs.generate import generate
from fasa.datasets.glyphs.spec import GlyphScenes

__all__ = ["GlyphScenes", "crops", "generate", "verify"]
