"""Confidence intervals by resampling images: the same draws for every file, so that differences are paired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.metrics.average_precision import Summary, Weights, class_tables, pooled, summarise
from fasa.evaluation.metrics.overlaps import Overlaps

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
    A figure that some draw lacks altogether has no interval.

    Raises:
        UserError: fewer than two samples, or files on different images.
    """
    if samples < 2:
        raise UserError(f"a bootstrap needs at least 2 samples, not {samples}.")
    images = files[0].ground_truth.image_ids
    if any(not np.array_equal(file.ground_truth.image_ids, images) for file in files):
        raise UserError("a paired bootstrap needs files on the same images.")
    rng = np.random.default_rng(seed)
    draws: list[list[Summary]] = [[] for _ in files]
    for done in range(samples):
        count = np.bincount(rng.integers(len(images), size=len(images)), minlength=len(images)).astype(np.int32)
        for file, mine in zip(files, draws, strict=True):
            mine.append(_summary(file, protocol, count))
        if progress:
            progress(done + 1, samples)
    values = [{name: _column(mine, name) for name in mine[0]} for mine in draws]
    differences = [
        {name: mine[name] - values[0][name] for name in mine if mine[name] is not None and values[0][name] is not None}
        for mine in values
    ]
    return [_intervals(mine) for mine in values], [_intervals(mine) for mine in differences]


def _summary(file: Overlaps, protocol: str, count: np.ndarray) -> Summary:
    weights = Weights(count[file.image], count[file.ground_truth.image])
    if protocol == "pool":
        return pooled(file, weights)
    return summarise(file, *class_tables(file, protocol, weights))


def _column(draws: list[Summary], name: str) -> np.ndarray | None:
    column = [draw[name] for draw in draws]
    return None if None in column else np.array(column)


def _intervals(values: dict[str, np.ndarray | None]) -> dict[str, Interval]:
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return {name: Interval(*np.quantile(v, tails).tolist()) for name, v in values.items() if v is not None}
