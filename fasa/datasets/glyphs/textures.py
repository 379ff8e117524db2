"""Colours and patterns of figures and ground. Arrays are float32 [H, W, 3] in 0..255 unless they say otherwise."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

PATTERNS = ("plain", "gradient", "stripes", "checks", "blotches")
LUMA = np.array((0.299, 0.587, 0.114))
CONTRAST = 70.0  # in brightness, or twice that in colour, of 255, that a figure keeps from what is around it
TRIES = 12


def colour(rng: np.random.Generator, away_from: list[np.ndarray]) -> np.ndarray:
    """A colour [3] that contrasts with each of the others, or the best of a dozen if none does."""
    best: np.ndarray = np.zeros(3)
    distance = -1.0
    for _ in range(TRIES):
        candidate = rng.uniform(0, 255, 3)
        nearest = min((_distance(candidate, other) for other in away_from), default=math.inf)
        if nearest > distance:
            best, distance = candidate, nearest
        if distance >= CONTRAST:
            break
    return best


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    difference = one - other
    return max(abs(float((difference * LUMA).sum())), math.sqrt(float((difference**2).sum())) / 2)


def paint(rng: np.random.Generator, height: int, width: int, tone: np.ndarray, strength: float) -> np.ndarray:
    """A surface of mean colour about ``tone`` [3] with one of five patterns; ``strength`` 0 leaves it plain."""
    surface = np.empty((height, width, 3), dtype=np.float32)
    surface[:] = tone
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    if pattern == "plain" or strength == 0:
        return surface
    swing = (rng.uniform(-1, 1, 3) + rng.choice((-1, 1))) * rng.uniform(8, 20) * strength
    surface += _wave(rng, pattern, height, width)[..., None] * swing.astype(np.float32)
    return surface


def _wave(rng: np.random.Generator, pattern: str, height: int, width: int) -> np.ndarray:
    """Values of -1..1, float32 [H, W]; triangles and squares, since sines differ between processors."""
    if pattern == "blotches":
        cells = rng.integers(0, 256, (int(rng.integers(3, 8)), int(rng.integers(3, 8))), dtype=np.uint8)
        smooth = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(smooth, dtype=np.float32) / 127.5 - 1
    angle = rng.uniform(0, math.pi)
    across = np.float32(math.cos(angle)) * np.arange(width, dtype=np.float32)
    down = np.float32(math.sin(angle)) * np.arange(height, dtype=np.float32)
    along = across + down[:, None]
    if pattern == "gradient":
        low, high = float(along.min()), float(along.max())
        return (along - low) * np.float32(2 / max(1.0, high - low)) - 1
    period = np.float32(rng.uniform(4, 16))
    wave = np.abs(along / period % 1 - np.float32(0.5)) * 4 - 1
    if pattern == "checks":
        other = np.float32(-math.sin(angle)) * np.arange(width, dtype=np.float32)
        other = other + np.float32(math.cos(angle)) * np.arange(height, dtype=np.float32)[:, None]
        wave = np.sign(wave) * np.sign(np.abs(other / period % 1 - np.float32(0.5)) * 4 - 1)
    return wave


def grain(rng: np.random.Generator, side: int, strength: float) -> np.ndarray:
    """A camera's noise, float32 [side, side, 3] around 0."""
    return rng.standard_normal((side, side, 3), dtype=np.float32) * np.float32(rng.uniform(1, 6) * strength)


def shade(rng: np.random.Generator, side: int, strength: float) -> np.ndarray:
    """Light that falls from one side, float32 [side, side] around 0."""
    return _wave(rng, "gradient", side, side) * np.float32(rng.uniform(0, 20) * strength)
