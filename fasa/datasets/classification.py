"""Prepare a long-tailed classification data set: get its balanced original, cut the tail, write one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fasa.datasets import cifar
from fasa.datasets.digits import read_digits
from fasa.datasets.download import fetch
from fasa.datasets.long_tail import ImagePool, build_long_tail
from fasa.datasets.pack import save_pack
from fasa.errors import UserError


@dataclass(frozen=True)
class Origin:
    """How to read a balanced data set from (source, downloads), and how many images its first class keeps."""

    read: Callable[[Path | None, Path], ImagePool]
    largest: int


def _cifar100(source: Path | None, downloads: Path) -> ImagePool:
    if source is None:
        source = downloads / cifar.ARCHIVE
        fetch([cifar.URL], source, cifar.MD5, largest=cifar.BYTES)
    return cifar.read_cifar100(source)


def _digits(source: Path | None, downloads: Path) -> ImagePool:
    if source is not None:
        raise UserError(f"digits_lt comes with scikit-learn and cannot be read from {source}: leave --source out.")
    return read_digits()


ORIGINS = {
    "cifar100_lt": Origin(_cifar100, largest=500),
    "digits_lt": Origin(_digits, largest=100),
}


def prepare_classification(
    name: str,
    imbalance_ratio: float,
    heldout_per_class: int,
    subset_seed: int,
    source: Path | None,
    downloads: Path,
    destination: Path,
) -> None:
    """Make the long-tailed data set ``name`` and write it to ``destination``, which ``load_pack`` reads.

    ``source`` is the user's own copy of the images; without it the official archive is downloaded into ``downloads``.

    Raises:
        UserError: there is no such data set, its images are not available, or the numbers do not fit it.
    """
    if name not in ORIGINS:
        raise UserError(f"There is no data set {name}: choose one of {', '.join(ORIGINS)}.")
    origin = ORIGINS[name]
    pool = origin.read(source, downloads)
    save_pack(destination, build_long_tail(name, pool, origin.largest, imbalance_ratio, heldout_per_class, subset_seed))
