"""Images without pixels that have LVIS v1's class counts: the classes of each image, and how many objects of each.

The counts of ``lvis_v1_counts.csv`` are LVIS's own: ``image_count``, ``instance_count`` and ``frequency`` of the 1,203
categories in lvis_v1_train.json (Gupta et al., LVIS, CVPR 2019; lvisdataset.org, CC BY 4.0). What the counts leave open
is drawn: which classes come together, which are looked for in an image and not found, and the validation images.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from fasa import atomic
from fasa.datasets import lvis
from fasa.datasets.manifest import Manifest, Split, write_manifest
from fasa.errors import UserError

COUNTS = Path(__file__).with_name("lvis_v1_counts.csv")
THEMES = 35  # about the square root of the number of classes
OFF_THEME = 0.02  # how likely a class is in an image of a theme that is not its own, beside one that is
# Of LVIS v0.5's first 100 validation images: classes that are verified to be absent from an image, and how often a
# rare, a common and a frequent class is among them.
NEGATIVES = 9.4
NEGATIVE_WEIGHTS = {"r": 0.35, "c": 0.96, "f": 1.08}
DRAWN = 2  # raise when the same options give other images: folders and runs of older ones are no longer taken
PARTS = ("image", "label", "objects")
CELL = 10  # pixels; each region has a cell of its own, so that boxes of two regions never overlap


@dataclass(frozen=True)
class Pairs:
    """Which classes are in which image, sorted by image: ``image``, ``label`` and ``objects`` ``[P]``, all int64."""

    image: np.ndarray
    label: np.ndarray
    objects: np.ndarray
    images: int  # in all; some of validation may have no class

    @property
    def start(self) -> np.ndarray:
        """First row of each image ``[images + 1]``."""
        return np.searchsorted(self.image, np.arange(self.images + 1))


@dataclass(frozen=True)
class LvisCounts:
    """Which part of LVIS's counts a data set has.

    Attributes:
        every: each so many-th class of the list by size, in as small a share of the images if there is room; 1 for all.
        val_share: of the validation images.
        seed: of all that is drawn.

    Raises:
        UserError: a number out of its range.
    """

    every: int = 1
    val_share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.every <= 100 and 0 < self.val_share <= 1 and self.seed >= 0):
            raise UserError("every must be 1 to 100, val_share above 0 and at most 1, and seed not negative.")


@dataclass(frozen=True)
class Classes:
    """The classes of a data set in their order: ``names``, ``frequencies`` (r, c, f), ``images``, ``instances`` [C]."""

    names: tuple[str, ...]
    frequencies: np.ndarray
    images: np.ndarray
    instances: np.ndarray


def read_classes(every: int = 1) -> Classes:
    """LVIS v1's classes, or each ``every``-th of them by size, in LVIS's order."""
    with COUNTS.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    instances = np.array([int(row["instances"]) for row in rows])
    kept = np.sort(np.argsort(instances, kind="stable")[every // 2 :: every])
    return Classes(
        tuple(rows[i]["name"] for i in kept),
        np.array([rows[i]["frequency"] for i in kept]),
        np.array([int(rows[i]["images"]) for i in kept]),
        instances[kept],
    )


def prepare(options: Mapping[str, Any], destination: Path) -> None:
    """Draw the images and write their manifest ``destination``; beside it ``pairs.npz`` and val's JSON, as LVIS's.

    Args:
        options: the fields of :class:`LvisCounts`.

    Raises:
        UserError: an option out of its range, or the disk is full.
    """
    spec = LvisCounts(**options)
    classes = read_classes(spec.every)
    rng = np.random.default_rng(spec.seed)
    affinity = np.where(rng.random((THEMES, len(classes.images))) < _homes(classes.instances), 1.0, OFF_THEME)
    popularity = rng.dirichlet(np.full(THEMES, 2.0))
    train = max(lvis.TRAIN_IMAGES // spec.every, int(classes.images.max()))  # room for the most frequent class
    images = {"train": train, "val": round(train * spec.val_share * lvis.VAL_IMAGES / lvis.TRAIN_IMAGES)}
    appearances = {
        "train": classes.images,
        "val": np.minimum(rng.poisson(classes.images * images["val"] / images["train"]), images["val"]),
    }
    themes = {name: rng.choice(THEMES, images[name], p=popularity) for name in ("train", "val")}
    split = {name: _deal(rng, appearances[name], classes, themes[name], affinity) for name in ("train", "val")}
    split["train"] = filled(rng, split["train"], themes["train"])
    folder = destination.parent
    columns = {f"{name}_{key}": getattr(pairs, key) for name, pairs in split.items() for key in PARTS}
    atomic.write(
        folder / "pairs.npz", lambda stream: np.savez(stream, **columns, images=[images["train"], images["val"]])
    )
    atomic.write_json(folder / "val.json", _annotations(rng, split["val"], classes))
    write_manifest(
        Manifest(
            name="lvis_counts",
            train=Split(str(folder / "pairs.npz"), ""),
            val=Split(str(folder / "val.json"), ""),
            category_names=classes.names,
            frequencies=tuple(classes.frequencies.tolist()),
            instance_counts=tuple(classes.instances.tolist()),
            image_counts=tuple(classes.images.tolist()),
            train_images=images["train"],
            repeat_threshold=lvis.REPEAT,
            tail_threshold=lvis.TAIL,
        ),
        destination,
    )


def read_pairs(manifest: Manifest) -> dict[str, Pairs]:
    """The images of ``train`` and ``val`` that :func:`prepare` drew.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = Path(manifest.train.annotations)
    try:
        with np.load(path) as columns:
            images = dict(zip(("train", "val"), columns["images"].tolist(), strict=True))
            return {
                name: Pairs(**{key: columns[f"{name}_{key}"] for key in PARTS}, images=number)
                for name, number in images.items()
            }
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"{path} is missing or damaged; delete its folder and run fasa data again.") from error


def boxes(slots: np.ndarray) -> np.ndarray:
    """The box x, y, w, h of each region ``[n, 4]`` by its number in its image."""
    return np.stack([slots * CELL, np.zeros_like(slots), *(np.full_like(slots, CELL - 2),) * 2], 1).astype(np.float64)


def _homes(instances: np.ndarray) -> np.ndarray:
    """The share of themes that each class fits ``[C]``: a tail class fits one, the head classes fit all."""
    rank = np.argsort(np.argsort(instances, kind="stable")) / max(1, len(instances) - 1)
    return 1 / THEMES + rank**4 * (1 - 1 / THEMES)


def _deal(
    rng: np.random.Generator, appearances: np.ndarray, classes: Classes, themes: np.ndarray, affinity: np.ndarray
) -> Pairs:
    """Put each class into ``appearances`` images, by how well their themes fit, and draw how many objects it has there.

    In training a class has exactly its instances: one in each image, the others dealt out so that few images have many.
    """
    image, label, objects = [], [], []
    for c, count in enumerate(appearances.tolist()):
        # The smallest of exponential variates over weights: a draw without replacement, by weight.
        keys = rng.exponential(size=len(themes)) / affinity[themes, c]
        chosen = np.argpartition(keys, min(count, len(keys) - 1))[:count]
        more = round((classes.instances[c] / classes.images[c] - 1) * count)
        crowded = rng.exponential(size=count)
        image.append(chosen)
        label.append(np.full(count, c))
        objects.append(1 + rng.multinomial(more, crowded / max(crowded.sum(), 1e-9)) if count else chosen)
    columns = [np.concatenate(column).astype(np.int64) for column in (image, label, objects)]
    order = np.lexsort((columns[1], columns[0]))
    return Pairs(*(column[order] for column in columns), images=len(themes))  # type: ignore[misc]  # there are three


def filled(rng: np.random.Generator, pairs: Pairs, themes: np.ndarray) -> Pairs:
    """Move classes to images without one, from images of the same theme that have others: LVIS's all have some."""
    image = pairs.image.copy()
    by_chance = rng.permutation(len(image))
    spare = np.delete(by_chance, np.unique(image[by_chance], return_index=True)[1])  # one class of each image stays
    empty = np.setdiff1d(np.arange(pairs.images), image)
    for theme in range(THEMES):
        needy, given = empty[themes[empty] == theme], spare[themes[image[spare]] == theme]
        moved = min(len(needy), len(given))
        image[given[:moved]] = needy[:moved]
    order = np.lexsort((pairs.label, image))
    return Pairs(image[order], pairs.label[order], pairs.objects[order], pairs.images)


def _annotations(rng: np.random.Generator, pairs: Pairs, classes: Classes) -> dict[str, Any]:
    """The validation images as LVIS's JSON, a box for each object; every object is annotated."""
    weights = np.array([NEGATIVE_WEIGHTS[letter] for letter in classes.frequencies])
    number = rng.poisson(NEGATIVES * len(weights) / lvis.CLASSES, pairs.images)
    absent = rng.choice(len(weights), number.sum(), p=weights / weights.sum())
    of_image = np.repeat(np.arange(pairs.images), number)
    present = set((pairs.image * len(weights) + pairs.label).tolist())
    negatives: list[list[int]] = [[] for _ in range(pairs.images)]
    for image, label in sorted(set(zip(of_image.tolist(), absent.tolist(), strict=True))):
        if image * len(weights) + label not in present:
            negatives[image].append(label + 1)
    image, label = np.repeat(pairs.image, pairs.objects), np.repeat(pairs.label, pairs.objects)
    slot = np.arange(len(image)) - np.searchsorted(image, image)
    columns = zip(image.tolist(), label.tolist(), boxes(slot).tolist(), strict=True)
    return {
        "info": {"description": "Images without pixels that have LVIS v1's class counts", "version": "v1.0"},
        "categories": [
            {"id": c + 1, "name": name, "frequency": letter, "image_count": images, "instance_count": instances}
            for c, (name, letter, images, instances) in enumerate(
                zip(
                    classes.names,
                    classes.frequencies.tolist(),
                    classes.images.tolist(),
                    classes.instances.tolist(),
                    strict=True,
                )
            )
        ],
        "images": [
            {"id": i + 1, "width": 10_000, "height": CELL, "neg_category_ids": lists, "not_exhaustive_category_ids": []}
            for i, lists in enumerate(negatives)
        ],
        "annotations": [
            {"id": a + 1, "image_id": i + 1, "category_id": c + 1, "area": (CELL - 2) ** 2, "bbox": box}
            for a, (i, c, box) in enumerate(columns)
        ],
    }
