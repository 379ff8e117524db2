"""Confidence intervals by resampling images: the same draws for every file, so that differences are paired.

``fasa.evaluation.metrics.resampling`` says how a draw's figures are computed quickly and why not a bit changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.codes import DRAWS
from fasa.evaluation.geometry.overlaps import Overlaps
from fasa.evaluation.metrics.average_precision import Ranked, Summary, rank
from fasa.evaluation.metrics.matching import check_overlaps, match
from fasa.evaluation.metrics.resampling import Resampling

LEVEL = 0.95
_TAILS = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]


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
    return summary_intervals(resample(files, protocol, samples, seed, progress))


@dataclass(frozen=True)
class Draws:
    """One file's figures in every draw; ``class_ap`` (samples, K) the AP of each class, NaN where it has no truth."""

    summaries: list[Summary]
    class_ap: np.ndarray | None = None


def resample(
    files: Sequence[Overlaps],
    protocol: str,
    samples: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    by_class: bool = False,
) -> list[Draws]:
    """The draws of each file, with the AP of the classes if ``by_class``; arguments and errors as ``bootstrap``.

    By class takes 8 bytes a file, draw and class, and AP-Pool has none.
    """
    if samples < 2:
        raise UserError(f"a bootstrap needs at least 2 samples, not {samples}.")
    if isinstance(files, str | Overlaps):
        raise UserError("a bootstrap takes a list of overlaps(annotations, detections), one for each file.")
    images = check_overlaps(files[0]).ground_truth.image_ids
    if any(not np.array_equal(file.ground_truth.image_ids, images) for file in files):
        raise UserError("a paired bootstrap needs files on the same images.")
    resamplings = [Resampling(rank(match(file, protocol), protocol)) for file in files]
    rng = np.random.default_rng(seed)
    draws = [Draws([], np.empty((samples, own.classes)) if by_class else None) for own in resamplings]
    for done in range(0, samples, DRAWS):
        counts = np.stack([_draw(rng, len(images)) for _ in range(min(DRAWS, samples - done))])
        for resampling, own in zip(resamplings, draws, strict=True):
            of_class = None if own.class_ap is None else own.class_ap[done : done + len(counts)]
            own.summaries.extend(resampling.summaries(counts, of_class))
        if progress:
            progress(min(done + DRAWS, samples), samples)
    return draws


def summary_intervals(draws: Sequence[Draws]) -> tuple[list[dict[str, Interval]], list[dict[str, Interval]]]:
    """Intervals of each file's figures, and of each file's difference from the first."""
    values = [_complete(own.summaries) for own in draws]
    differences = [{name: own[name] - values[0][name] for name in own if name in values[0]} for own in values]
    return [_intervals(own) for own in values], [_intervals(difference) for difference in differences]


def class_intervals(draws: Draws, first: Draws) -> np.ndarray:
    """Ends of the interval of each class's difference in AP from ``first``, (K, 2); NaN where a draw lacks it."""
    assert draws.class_ap is not None and first.class_ap is not None
    return np.quantile(draws.class_ap - first.class_ap, _TAILS, axis=0).T


def resampled(ranked: Ranked, count: np.ndarray) -> Summary:
    """The figures of one draw that has image i ``count[i]`` times, int32 (N,)."""
    return Resampling(ranked).summaries(count[None])[0]


def _draw(rng: np.random.Generator, images: int) -> np.ndarray:
    """How often each image is drawn, int32 (N,)."""
    return np.bincount(rng.integers(images, size=images), minlength=images).astype(np.int32)


def _complete(draws: list[Summary]) -> dict[str, np.ndarray]:
    """The draws of each figure that no draw lacks, (samples,)."""
    columns = {name: [draw[name] for draw in draws] for name in draws[0]}
    return {name: np.array(column) for name, column in columns.items() if None not in column}


def _intervals(values: dict[str, np.ndarray]) -> dict[str, Interval]:
    return {name: Interval(*np.quantile(column, _TAILS).tolist()) for name, column in values.items()}
