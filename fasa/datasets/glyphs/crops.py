"""Pictures of one glyph each, to pre-train a small backbone on characters that no scene shows."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from fasa.datasets.glyphs.canvas import Canvas
from fasa.datasets.glyphs.catalogue import Glyph, glyphs
from fasa.datasets.glyphs.spec import SMALLEST_GLYPH, Look
from fasa.errors import UserError

SIZE = (0.5, 0.9)  # longest side of the glyph, as a share of the crop's
COMPANY = (0.2, 0.7)  # that of the others that may lie over it
MOST_HIDDEN = 0.35  # of the glyph
OTHERS = 2  # at most
TRIES = 60
KEY = 3  # of the seeds, after train's, val's and the plan's


def crops(
    classes: int,
    per_class: int,
    side: int,
    seed: int = 0,
    first_class: int = 0,
    texture: float = 1.0,
    processes: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [classes * per_class, 3, side, side] and labels int64 0..classes-1, class after class.

    Each shows a glyph of the catalogue, from number ``first_class`` on, on the ground of the scenes, turned, often
    partly covered by others of them. The same numbers give the same bytes; more ``per_class`` only adds images.

    Raises:
        UserError: the catalogue has too few glyphs, or a number is out of its range.
    """
    if per_class < 1 or not 24 <= side <= 160:
        raise UserError(f"glyphs: {per_class} crops of {side} pixels cannot be made: from 1 on, of 24 to 160 pixels.")
    look = Look(side, SIZE, most_hidden=MOST_HIDDEN, strokes=(0, 2), texture=texture)
    work = partial(_crops_of, glyphs(first_class, classes), per_class, look, seed)
    if processes <= 1:
        stacks = list(map(work, range(classes)))
    else:
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            stacks = list(pool.map(work, range(classes), chunksize=4))
    return np.concatenate(stacks), np.repeat(np.arange(classes, dtype=np.int64), per_class)


def _crops_of(alphabet: tuple[Glyph, ...], per_class: int, look: Look, seed: int, label: int) -> np.ndarray:
    pictures = []
    for number in range(per_class):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(KEY, label, number)))
        pictures.append(_crop(rng, alphabet, label, look))
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))


def _crop(rng: np.random.Generator, alphabet: tuple[Glyph, ...], label: int, look: Look) -> np.ndarray:
    """One picture, uint8 [side, side, 3]."""
    while True:
        canvas = Canvas(rng, look)
        if rng.random() < 0.5:
            canvas.scratch()
        if any(_place(canvas, alphabet[label], SIZE, centre=0.12) for _ in range(TRIES)):
            break
    for _ in range(rng.integers(OTHERS, endpoint=True)):
        other = alphabet[rng.integers(len(alphabet))]
        _place(canvas, other, COMPANY, centre=0.6)  # if it hides too much, there is one less
    for _ in range(rng.integers(*look.strokes, endpoint=True)):
        canvas.scratch()
    return canvas.finish()


def _place(canvas: Canvas, glyph: Glyph, size: tuple[float, float], centre: float) -> bool:
    """Try one place for a glyph, its centre at most ``centre`` sides from that of the picture."""
    rng, side = canvas.rng, canvas.look.side
    alpha = canvas.stamp(glyph, max(SMALLEST_GLYPH, rng.uniform(*size) * side))
    top, left = (round(side * (0.5 + rng.uniform(-centre, centre)) - length / 2) for length in alpha.shape)
    return canvas.place(alpha, top, left)
