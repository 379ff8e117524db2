"""Check annotations and images before a training; every fault is one sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image as Picture

from fasa.datasets.annotation_counts import AnnotationCounts, count, images_with
from fasa.errors import UserError
from fasa.evaluation.io.annotation_json import Document, Image, Images, read

FREQUENCIES = ("r", "c", "f")
COCO_HOST = "http://images.cocodataset.org/"
SAMPLE = 64  # images that are decoded
NAMED = 10  # files that a sentence names


@dataclass(frozen=True)
class Expected:
    """What an annotations file of a known data set holds; None is not checked."""

    name: str  # "LVIS v1 train"
    fix: str  # where to get the right file
    classes: int | None = None
    images: int | None = None
    annotated_images: int | None = None
    instances: int | None = None
    frequencies: Mapping[str, int] = field(default_factory=dict)  # classes of each letter
    federated: bool | None = None  # whether the images have LVIS's lists of negative categories; None: as the file is
    confused_with: Mapping[int, str] = field(default_factory=dict)  # data sets with other numbers of classes
    image_fix: str = "put them there or name the folder that holds them"


ANY = Expected(name="any data set in LVIS's or COCO's format", fix="write the annotations again")


@dataclass(frozen=True)
class Report:
    """What a check found: ``problems`` must be fixed before a training, ``facts`` are for the record."""

    problems: tuple[str, ...]
    facts: tuple[str, ...] = ()
    counts: AnnotationCounts | None = None  # None if the annotations cannot be read

    def __add__(self, other: Report) -> Report:
        counts = self.counts if other.counts is None else other.counts
        return Report(self.problems + other.problems, self.facts + other.facts, counts)


def compare(annotations: Path, images: Path, expected: Expected = ANY, sample: int = SAMPLE) -> Report:
    """Compare an annotations file with what is ``expected`` of it, and the folder ``images`` with the file.

    LVIS's images are looked for in ``images``/train2017 and ``images``/val2017 as their ``coco_url`` says, COCO's in
    ``images`` itself; ``sample`` of them are decoded.
    """
    try:
        document = read(annotations, Document)
        counts = count(document, annotations.name)
    except UserError as error:
        return Report((str(error),))
    name = annotations.name
    federated = expected.federated
    if federated is None:
        federated = any(image.neg_category_ids for image in document.images)
    problems = [
        *_numbers(document, counts, expected, name),
        *_entries(document, federated, expected, name),
        *_files(document, images, federated, expected, name, sample),
    ]
    return Report(tuple(problems), tuple(_facts(document, counts, name)), counts)


def image_files(annotations: Path, folder: Path) -> list[Path]:
    """The files of the images that an annotations file lists, below ``folder``, in its order.

    Raises:
        UserError: it cannot be read.
    """
    images = read(annotations, Images).images
    federated = any(image.neg_category_ids for image in images)
    return [folder / _location(image, federated) for image in images]


def _annotated(document: Document) -> int:
    return len({entry.image_id for entry in document.annotations})


def _numbers(document: Document, counts: AnnotationCounts, expected: Expected, name: str) -> list[str]:
    """How many classes, images and instances there are, against how many there should be."""
    classes = len(document.categories)
    if expected.classes not in (None, classes):
        other = expected.confused_with.get(classes)
        remark = f", so it is {other}" if other else ""
        return [
            f"{name} has {classes:,} classes where {expected.name} has {expected.classes:,}{remark}: {expected.fix}."
        ]
    found = {
        "images": (len(document.images), expected.images),
        "images with an annotation": (_annotated(document), expected.annotated_images),
        "annotations": (len(document.annotations), expected.instances),
    }
    for letter, wanted in expected.frequencies.items():
        found[f'classes of frequency "{letter}"'] = (counts.frequencies.count(letter), wanted)
    return [
        f"{name} has {there:,} {what} where {expected.name} has {wanted:,}: {expected.fix}."
        for what, (there, wanted) in found.items()
        if wanted not in (None, there)
    ]


def _entries(document: Document, federated: bool, expected: Expected, name: str) -> list[str]:
    """Ids that occur twice or are not listed, annotations without masks, and what only LVIS has."""
    parts: dict[str, Sequence[Any]] = {
        "image": document.images,
        "category": document.categories,
        "annotation": document.annotations,
    }
    ids = {what: np.array([entry.id for entry in entries], np.int64) for what, entries in parts.items()}
    problems = [
        f"{name} has {len(own) - len(np.unique(own)):,} {what} entries with the id of an earlier one: {expected.fix}."
        for what, own in ids.items()
        if len(np.unique(own)) < len(own)
    ]
    if (np.diff(ids["category"]) < 0).any():
        problems.append(f"{name} does not list its categories by ascending id, as labels are counted: sort them.")
    strays = ~np.isin([entry.image_id for entry in document.annotations], ids["image"])
    if strays.any():
        problems.append(
            f"{name} has {strays.sum():,} annotations of images that it does not list, such as annotation "
            f"{int(np.argmax(strays))}: {expected.fix}."
        )
    bare = sum(bytes(entry.segmentation) in (b"", b"null", b"[]") for entry in document.annotations)
    if bare:
        problems.append(f"{name} has {bare:,} annotations without a mask: {expected.fix}.")
    if federated:
        problems += _federated(document, expected, name)
    return problems


def _federated(document: Document, expected: Expected, name: str) -> list[str]:
    problems = []
    letters = [category.id for category in document.categories if category.frequency not in FREQUENCIES]
    if letters:
        problems.append(
            f'{name} gives {len(letters):,} classes, such as {letters[0]}, no "frequency" r, c or f: {expected.fix}.'
        )
    for key in ("coco_url", "neg_category_ids", "not_exhaustive_category_ids"):
        without = [image.id for image in document.images if not getattr(image, key)]
        if without:
            problems.append(f'{name} gives {len(without):,} images, such as {without[0]}, no "{key}": {expected.fix}.')
    return problems


def _files(document: Document, folder: Path, federated: bool, expected: Expected, name: str, sample: int) -> list[str]:
    """Image files that are missing, damaged or of another size."""
    locations = [_location(image, federated) for image in document.images]
    absent = _missing(folder, locations)
    problems = []
    if absent:
        which = "none" if len(absent) == len(locations) else f"{len(absent):,} of them not"
        problems.append(
            f"{name} has {len(locations):,} images, but {which} in {folder} ({enumeration(absent)}): "
            f"{expected.image_fix}."
        )
    gone = set(absent)
    there = [i for i, path in enumerate(locations) if path not in gone]
    images, paths = [document.images[i] for i in there], [locations[i] for i in there]
    faulty = _faults(folder, images, paths, sample)
    if faulty:
        problems.append(
            f"Of {min(sample, len(there))} images of {name} that were decoded, {len(faulty)} are wrong in {folder} "
            f"({enumeration(faulty)}): get the images again."
        )
    return problems


def _facts(document: Document, counts: AnnotationCounts, name: str) -> list[str]:
    seen = int((counts.instances > 0).sum())
    facts = [
        f"{name}: {len(document.images):,} images, {_annotated(document):,} of them with an annotation; "
        f"{len(document.annotations):,} annotations of {seen:,} of {len(counts.ids):,} classes."
    ]
    if set(counts.frequencies) <= set(FREQUENCIES) and counts.frequencies:
        split = " / ".join(str(counts.frequencies.count(letter)) for letter in FREQUENCIES)
        tail = len(images_with(document, ("r", "c"), name))
        facts.append(
            f"{name}: {split} rare / common / frequent classes; {tail:,} images with a rare or common annotation."
        )
    return facts


def _location(image: Image, federated: bool) -> str:
    """Path of an image below the folder of images: from ``coco_url``, as MMDetection cuts it, or its name.

    The images of LVIS v1's val split lie in train2017 and in val2017; only the address tells which.
    """
    return image.coco_url.replace(COCO_HOST, "") if federated else image.file_name


def _missing(folder: Path, locations: Sequence[str]) -> list[str]:
    """Those of ``locations`` that are no files below ``folder``; its subfolders are listed, no file is opened."""
    paths = [PurePosixPath(path) for path in locations]
    present: set[PurePosixPath] = set()
    for parent in sorted({path.parent for path in paths}):
        try:
            with os.scandir(folder / parent) as entries:
                present |= {parent / entry.name for entry in entries if not entry.is_dir()}
        except OSError:
            continue  # an absent folder has no files
    return [str(path) for path in paths if path not in present]


def _faults(folder: Path, images: Sequence[Image], locations: Sequence[str], sample: int) -> list[str]:
    """A phrase for each of ``sample`` evenly spread images that cannot be decoded or has another size."""
    found = []
    for i in np.unique(np.linspace(0, len(images) - 1, min(sample, len(images))).astype(int)):
        try:
            with Picture.open(folder / locations[i]) as picture:
                picture.load()  # the header alone does not show that a download was cut short
                width, height = picture.size  # as stored: COCO's annotations do not follow EXIF's orientation
        except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError) as error:
            found.append(f"{locations[i]} (cannot be decoded: {type(error).__name__})")
            continue
        if (width, height) != (images[i].width, images[i].height):
            found.append(f"{locations[i]} ({width} x {height}, not {images[i].width} x {images[i].height})")
    return found


def enumeration(names: Sequence[str]) -> str:
    """The first ten of ``names``, and how many more there are."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
