"""Confidence intervals by resampling images: the same draws for every file, so that differences are paired.

``fasa.evaluation.metrics.resampling`` says how a draw's figures are computed quickly and why not a bit changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.geometry.overlaps import Overlaps
from fasa.evaluation.metrics.average_precision import Ranked, Summary, rank
from fasa.evaluation.metrics.matching import check_overlaps, match

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A percentile interval of level ``LEVEL``, fractions."""

    low: float
    high: float


def bootstrap(
    files: Sequence[Overlaps],
    protocol: str = "standard",
    samples: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[dict[str, Interval]], list[dict[str, Interval]]]:
    """Intervals of each file's figures, and of each file's difference from the first.

    Each of ``samples`` draws takes as many images as there are, with replacement; an image drawn twice counts twice,
    its detections next to each other. A class that a draw leaves without ground truth is left out of that draw's means.
    A figure that is absent from some draw has no interval.

    Raises:
        UserError: fewer than two samples, files on different images, or as ``fasa.evaluation.evaluate``.
    """
    if samples < 2:
        raise UserError(f"a bootstrap needs at least 2 samples, not {samples}.")
    if isinstance(files, str | Overlaps):
        raise UserError("a bootstrap takes a list of overlaps(annotations, detections), one for each file.")
    images = check_overlaps(files[0]).ground_truth.image_ids
    if any(not np.array_equal(file.ground_truth.image_ids, images) for file in files):
        raise UserError("a paired bootstrap needs files on the same images.")
    from fasa.evaluation.metrics.resampling import Resampling  # loads numba
    from fasa.evaluation.portable.resampling import DRAWS

    resamplings = [Resampling(rank(match(file, protocol), protocol)) for file in files]
    rng = np.random.default_rng(seed)
    draws: list[list[Summary]] = [[] for _ in files]
    for done in range(0, samples, DRAWS):
        counts = np.stack([_draw(rng, len(images)) for _ in range(min(DRAWS, samples - done))])
        for resampling, own in zip(resamplings, draws, strict=True):
            own += resampling.summaries(counts)
        if progress:
            progress(len(draws[0]), samples)
    values = [_complete(own) for own in draws]
    differences = [{name: own[name] - values[0][name] for name in own if name in values[0]} for own in values]
    return [_intervals(own) for own in values], [_intervals(difference) for difference in differences]


def resampled(ranked: Ranked, count: np.ndarray) -> Summary:
    """The figures of one draw that has image i ``count[i]`` times, int32 (N,)."""
    from fasa.evaluation.metrics.resampling import Resampling  # loads numba

    return Resampling(ranked).summaries(count[None])[0]


def _draw(rng: np.random.Generator, images: int) -> np.ndarray:
    """How often each image is drawn, int32 (N,)."""
    return np.bincount(rng.integers(images, size=images), minlength=images).astype(np.int32)


def _complete(draws: list[Summary]) -> dict[str, np.ndarray]:
    """The draws of each figure that no draw lacks, (samples,)."""
    columns = {name: [draw[name] for draw in draws] for name in draws[0]}
    return {name: np.array(column) for name, column in columns.items() if None not in column}


def _intervals(values: dict[str, np.ndarray]) -> dict[str, Interval]:
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return {name: Interval(*np.quantile(column, tails).tolist()) for name, column in values.items()}
