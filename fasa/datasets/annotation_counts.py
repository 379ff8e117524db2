"""How many training images and instances each class has, counted from the annotations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fasa.errors import UserError
from fasa.evaluation.io.annotation_json import Document, Instance, Instances, read


@dataclass(frozen=True)
class AnnotationCounts:
    """One entry a class, in the order of the file, which is the order of a detector's labels."""

    ids: np.ndarray  # int64 (C,) category ids
    names: tuple[str, ...]
    frequencies: tuple[str, ...]  # r, c or f; "" in COCO
    instances: np.ndarray  # int64 (C,) annotations, crowds included
    images: np.ndarray  # int64 (C,) images with at least one
    annotated_images: int  # images with an annotation of any class


def count_annotations(annotations: Path) -> AnnotationCounts:
    """Counts of every class of an LVIS or COCO annotations file.

    Raises:
        UserError: the file cannot be read, or an annotation is of no class in it.
    """
    return count(read(annotations, Instances), annotations.name)


def count(document: Instances | Document, name: str) -> AnnotationCounts:
    """Counts of a document that was read already; ``name`` is what an error calls it.

    Raises:
        UserError: an annotation is of no class in it.
    """
    ids = np.array([category.id for category in document.categories], np.int64)
    image, label = pairs(document.annotations, ids, name)
    present = np.unique(np.stack([image, label]), axis=1)[1]
    return AnnotationCounts(
        ids=ids,
        names=tuple(category.name for category in document.categories),
        frequencies=tuple(category.frequency for category in document.categories),
        instances=np.bincount(label, minlength=len(ids)),
        images=np.bincount(present, minlength=len(ids)),
        annotated_images=len(np.unique(image)),
    )


def pairs(annotations: Sequence[Instance], category_ids: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Image id and label (place in ``category_ids``) of every annotation, int64 (A,) each.

    Raises:
        UserError: there are no classes, or an annotation is of none of them.
    """
    image = np.fromiter((entry.image_id for entry in annotations), np.int64, len(annotations))
    category = np.fromiter((entry.category_id for entry in annotations), np.int64, len(annotations))
    if not len(category_ids):
        raise UserError(f"{name} has no categories: get it again.")
    order = np.argsort(category_ids, kind="stable")
    label = order[np.minimum(np.searchsorted(category_ids, category, sorter=order), len(order) - 1)]
    known = category_ids[label] == category
    if not known.all():
        i = int(np.argmin(known))
        raise UserError(f"{name}: annotation {i} is of category {category[i]}, which is not in the file: get it again.")
    return image, label


def images_with(document: Instances | Document, frequencies: Iterable[str], name: str) -> np.ndarray:
    """Ids, ascending, of the images that hold an annotation of a class with one of the frequency letters.

    With "r" and "c" this is the paper's balanced subset of LVIS v1 val (Table 3), 3,286 images by its own count.

    Raises:
        UserError: an annotation is of no class in the document.
    """
    ids = np.array([category.id for category in document.categories], np.int64)
    image, label = pairs(document.annotations, ids, name)
    wanted = np.array([category.frequency in set(frequencies) for category in document.categories], bool)
    return np.unique(image[wanted[label]])
