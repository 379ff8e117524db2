"""The manifest of a prepared detection data set: where its files lie, and its classes; written last, by `fasa data`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fasa import atomic
from fasa.errors import UserError

LISTS = ("instance_counts", "image_counts", "frequencies")  # also files of their own, for losses and augmenters


@dataclass(frozen=True)
class Split:
    """Annotations and the folder that their images' names start from."""

    annotations: str
    images: str


@dataclass(frozen=True)
class Manifest:
    """A data set in LVIS's or COCO's format; the class order is that of the annotations."""

    name: str
    train: Split
    val: Split
    category_names: tuple[str, ...]
    frequencies: tuple[str, ...]  # r, c or f; "" where the data set has none
    instance_counts: tuple[int, ...]  # of training
    image_counts: tuple[int, ...]
    train_images: int  # with an annotation
    repeat_threshold: float  # t of repeat factor sampling, a share of the images
    tail_threshold: float  # lambda of the equalization loss, likewise

    @property
    def classes(self) -> int:
        return len(self.category_names)


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write ``manifest`` and, beside it, each of ``LISTS`` as a JSON list."""
    content = asdict(manifest)
    for name in LISTS:
        atomic.write_json(list_path(path, name), content[name])
    atomic.write_json(path, content)


def read_manifest(path: Path) -> Manifest:
    """The manifest at ``path``.

    Raises:
        UserError: it is missing or not one.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: prepare the data first, with fasa data RECIPE.")
    try:
        content = json.loads(path.read_text())
        content |= {"train": Split(**content["train"]), "val": Split(**content["val"])}
        lists = ("category_names", *LISTS)
        return Manifest(**content | {name: tuple(content[name]) for name in lists})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: delete it and run fasa data again.") from error


def list_path(manifest: Path, name: str) -> Path:
    """The JSON list of one of ``LISTS``."""
    return manifest.with_name(f"{name}.json")
