"""The long-tailed data sets by name, and the one step that makes any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fasa.datasets.cifar import CIFAR10, CIFAR100, CifarLayout, read_cifar
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


def _cifar(layout: CifarLayout, source: Path | None, downloads: Path) -> ImagePool:
    if source is None:
        source = downloads / layout.archive
        fetch([layout.url], source, f"md5:{layout.md5}")
    return read_cifar(layout, source)


def _digits(source: Path | None, downloads: Path) -> ImagePool:
    if source is not None:
        raise UserError(f"digits_lt comes with scikit-learn and cannot be read from {source}: leave --source out.")
    return read_digits()


DATASETS = {
    "cifar100_lt": Origin(partial(_cifar, CIFAR100), largest=500),
    "cifar10_lt": Origin(partial(_cifar, CIFAR10), largest=5000),
    "digits_lt": Origin(_digits, largest=100),
}


def prepare(
    name: str,
    imbalance_ratio: float,
    heldout_per_class: int,
    subset_seed: int,
    source: Path | None,
    downloads: Path,
    destination: Path,
) -> None:
    """Make the long-tailed data set ``name`` and write it to ``destination`` as one pack.

    ``source`` is the user's own copy of the images; without it the official archive is downloaded into ``downloads``.

    Raises:
        UserError: there is no such data set, its images cannot be had, or the numbers do not fit it.
    """
    if name not in DATASETS:
        raise UserError(f"There is no data set {name}: choose one of {', '.join(DATASETS)}.")
    origin = DATASETS[name]
    pool = origin.read(source, downloads)
    dataset = build_long_tail(name, pool, origin.largest, imbalance_ratio, heldout_per_class, subset_seed)
    save_pack(destination, dataset)
