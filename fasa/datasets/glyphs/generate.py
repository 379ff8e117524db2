"""Make a data set of scenes: plan, draw, write; whole or not at all."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import call
from pathlib import Path

import numpy as np
from PIL import Image

from fasa.atomic import write_bytes, write_json
from fasa.datasets.glyphs.annotations import Json, documents, encode, first_image_id, image_file
from fasa.datasets.glyphs.catalogue import glyphs
from fasa.datasets.glyphs.files import (
    DOCUMENT,
    SPECIFICATION,
    annotation_file,
    compact,
    digest,
    is_whole,
    summary,
    verify,
)
from fasa.datasets.glyphs.plan import SPLITS, ScenePlan, plan
from fasa.datasets.glyphs.scene import draw_scene
from fasa.datasets.glyphs.spec import GlyphScenes
from fasa.errors import UserError

QUALITY = 92  # of JPEG, as LVIS's images are: a third of PNG's size for noisy pixels, and read in half the time
CHUNK = 32  # scenes that a process draws before it reports

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Drawn:
    """What is left of a chunk of scenes once its images are on disk."""

    shapes: list[list[Json]]  # for each image, for each annotated object
    hashes: list[str]  # SHA-256 of each file
    sums: np.ndarray  # int64 [2, 3]: of all pixels and of their squares, by channel


def generate(spec: GlyphScenes, destination: Path, progress: Progress | None = None, processes: int = 1) -> Path:
    """Write the scenes of ``spec`` to the folder ``destination``, and return the path of its dataset.json.

    The same spec gives the same bytes, whatever ``processes`` is. dataset.json is written last: a folder without it was
    left by a generation that was killed, and is begun anew. ``progress(done, total)`` is called as images are written.

    Raises:
        UserError: the folder holds something else, or a data set of another spec, or cannot be written.
    """
    if is_whole(destination, spec):
        verify(destination)
        return destination / DOCUMENT
    scheme = plan(spec)
    with _writing(destination):
        _clear(destination)
        write_json(destination / SPECIFICATION, spec.to_json())
        work = {split: _pieces(spec, split, scheme.scenes[split], destination) for split in SPLITS}
        shapes: dict[str, list[list[Json]]] = {split: [] for split in SPLITS}
        hashes: dict[str, list[str]] = {split: [] for split in SPLITS}
        sums = np.zeros((2, 3), dtype=np.int64)
        done, total = 0, spec.train_images + spec.val_images
        with _pool(processes) as run:
            for split in SPLITS:
                for chunk in run(work[split]):
                    shapes[split] += chunk.shapes
                    hashes[split] += chunk.hashes
                    sums += chunk.sums if split == "train" else 0
                    done += len(chunk.hashes)
                    if progress:
                        progress(done, total)
        texts = {split: compact(document) for split, document in documents(spec, scheme, shapes).items()}
        for split, text in texts.items():
            write_bytes(destination / annotation_file(split), text)
        write_json(destination / DOCUMENT, summary(spec, scheme, texts, {s: digest(hashes[s]) for s in SPLITS}, sums))
    return destination / DOCUMENT


def _pieces(spec: GlyphScenes, split: str, scenes: list[ScenePlan], folder: Path) -> list[Callable[[], Drawn]]:
    """The work of a split in pieces that any process can do."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    return [
        partial(draw_chunk, spec, split, start, scenes[start : start + CHUNK], folder)
        for start in range(0, len(scenes), CHUNK)
    ]


def draw_chunk(spec: GlyphScenes, split: str, start: int, scenes: list[ScenePlan], folder: Path) -> Drawn:
    """Draw and write the scenes from number ``start`` of a split on; each has a seed of its own."""
    alphabet = glyphs(0, spec.classes)
    shapes, hashes = [], []
    sums = np.zeros((2, 3), dtype=np.int64)
    for number, scene in enumerate(scenes, start):
        seed = np.random.SeedSequence(spec.seed, spawn_key=(SPLITS.index(split), number))
        drawn = draw_scene(seed, [alphabet[label] for label in scene.annotated + scene.unannotated], spec.look)
        stream = io.BytesIO()
        Image.fromarray(drawn.pixels).save(stream, "JPEG", quality=QUALITY, subsampling=0)
        content = stream.getvalue()
        (folder / image_file(split, first_image_id(spec, split) + number)).write_bytes(content)
        hashes.append(hashlib.sha256(content).hexdigest())
        shapes.append(encode(drawn.masks[: len(scene.annotated)]))
        flat = drawn.pixels.reshape(-1, 3).astype(np.int64)
        sums += np.stack((flat.sum(0), (flat**2).sum(0)))
    return Drawn(shapes, hashes, sums)


@contextmanager
def _pool(processes: int) -> Iterator[Callable[[list[Callable[[], Drawn]]], Iterator[Drawn]]]:
    """A way to do pieces of work in their order: here, or in ``processes`` others."""
    if processes <= 1:
        yield lambda pieces: (piece() for piece in pieces)
        return
    # spawned, not forked: the caller may have threads, and torch's do not survive a fork
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda pieces: pool.map(call, pieces)


@contextmanager
def _writing(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{destination} cannot be written ({error.strerror}): free some space or choose another folder."
        ) from error


def _clear(destination: Path) -> None:
    """Remove what a killed generation left, and nothing else."""
    for split in SPLITS:
        shutil.rmtree(destination / split, ignore_errors=True)
        (destination / annotation_file(split)).unlink(missing_ok=True)
