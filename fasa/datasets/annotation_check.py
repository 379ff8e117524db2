"""Annotations and images looked at before a GPU is asked for; every fault is one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fasa.datasets import image_files
from fasa.datasets.annotation_counts import AnnotationCounts, count, images_with
from fasa.datasets.annotation_file import Document, read
from fasa.errors import UserError

FREQUENCIES = ("r", "c", "f")
SAMPLE = 64  # images that are decoded


@dataclass(frozen=True)
class Expected:
    """What an annotations file of a known data set holds; None is not asked."""

    name: str  # "LVIS v1 train"
    mend: str  # where to get the right file
    classes: int | None = None
    images: int | None = None
    annotated_images: int | None = None
    instances: int | None = None
    frequencies: Mapping[str, int] = field(default_factory=dict)  # classes of each letter
    federated: bool | None = None  # whether the images have LVIS's lists of negative categories; None: as the file is
    strangers: Mapping[int, str] = field(default_factory=dict)  # what a file with that many classes is instead
    image_mend: str = "put them there or name the folder that holds them"


ANY = Expected(name="any data set in LVIS's or COCO's format", mend="write the annotations again")


@dataclass(frozen=True)
class Report:
    """What a check found: ``problems`` must be mended before a training, ``facts`` are for the record."""

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
        document = read(annotations)
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


def _annotated(document: Document) -> int:
    return len({entry.image_id for entry in document.annotations})


def _numbers(document: Document, counts: AnnotationCounts, expected: Expected, name: str) -> list[str]:
    """How many classes, images and instances there are, against how many there should be."""
    classes = len(document.categories)
    if expected.classes not in (None, classes):
        stranger = expected.strangers.get(classes)
        remark = f", so it is {stranger}" if stranger else ""
        return [
            f"{name} has {classes:,} classes where {expected.name} has {expected.classes:,}{remark}: {expected.mend}."
        ]
    found = {
        "images": (len(document.images), expected.images),
        "images with an annotation": (_annotated(document), expected.annotated_images),
        "annotations": (len(document.annotations), expected.instances),
    }
    for letter, wanted in expected.frequencies.items():
        found[f'classes of frequency "{letter}"'] = (counts.frequencies.count(letter), wanted)
    return [
        f"{name} has {there:,} {what} where {expected.name} has {wanted:,}: {expected.mend}."
        for what, (there, wanted) in found.items()
        if wanted not in (None, there)
    ]


def _entries(document: Document, federated: bool, expected: Expected, name: str) -> list[str]:
    """Ids that occur twice or lead nowhere, annotations without masks, and what only LVIS has."""
    parts = {"image": document.images, "category": document.categories, "annotation": document.annotations}
    ids = {what: np.array([entry.id for entry in entries], np.int64) for what, entries in parts.items()}
    problems = [
        f"{name} has {len(own) - len(np.unique(own)):,} {what} entries with the id of an earlier one: {expected.mend}."
        for what, own in ids.items()
        if len(np.unique(own)) < len(own)
    ]
    if (np.diff(ids["category"]) < 0).any():
        problems.append(f"{name} does not list its categories by ascending id, as labels are counted: sort them.")
    strays = ~np.isin([entry.image_id for entry in document.annotations], ids["image"])
    if strays.any():
        problems.append(
            f"{name} has {strays.sum():,} annotations of images that it does not list, such as annotation "
            f"{int(np.argmax(strays))}: {expected.mend}."
        )
    bare = sum(bytes(entry.segmentation) in (b"", b"null", b"[]") for entry in document.annotations)
    if bare:
        problems.append(f"{name} has {bare:,} annotations without a mask: {expected.mend}.")
    if federated:
        problems += _federated(document, expected, name)
    return problems


def _federated(document: Document, expected: Expected, name: str) -> list[str]:
    problems = []
    letters = [category.id for category in document.categories if category.frequency not in FREQUENCIES]
    if letters:
        problems.append(
            f'{name} gives {len(letters):,} classes, such as {letters[0]}, no "frequency" r, c or f: {expected.mend}.'
        )
    for key in ("coco_url", "neg_category_ids", "not_exhaustive_category_ids"):
        without = [image.id for image in document.images if not getattr(image, key)]
        if without:
            problems.append(f'{name} gives {len(without):,} images, such as {without[0]}, no "{key}": {expected.mend}.')
    return problems


def _files(document: Document, folder: Path, federated: bool, expected: Expected, name: str, sample: int) -> list[str]:
    """Image files that are missing, damaged or of another size."""
    locations = [image_files.location(image, federated) for image in document.images]
    absent = image_files.missing(folder, locations)
    problems = []
    if absent:
        which = "none" if len(absent) == len(locations) else f"{len(absent):,} of them not"
        problems.append(
            f"{name} has {len(locations):,} images, but {which} in {folder} ({image_files.enumeration(absent)}): "
            f"{expected.image_mend}."
        )
    gone = set(absent)
    there = [i for i, path in enumerate(locations) if path not in gone]
    images, paths = [document.images[i] for i in there], [locations[i] for i in there]
    faulty = image_files.faults(folder, images, paths, sample)
    if faulty:
        problems.append(
            f"Of {min(sample, len(there))} images of {name} that were decoded, {len(faulty)} are wrong in {folder} "
            f"({image_files.enumeration(faulty)}): get the images again."
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
