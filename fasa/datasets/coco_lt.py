"""COCO-LT (Wang et al., SimCal): rebuilt from its published index and COCO's own annotations, and checked.

The index says, for each class, which images show it and how many instances they hold together; it does not say which.
The twenty head classes are whole. The others have fewer instances than their images hold in COCO, so instances were
left out by a draw that was never published: only the published JSON has those very instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fasa.atomic import write_bytes
from fasa.datasets.annotation_check import SAMPLE, Expected, Report, compare, enumeration
from fasa.datasets.annotation_counts import pairs
from fasa.errors import UserError
from fasa.evaluation.io.annotation_json import Instance, NamedCategory, read
from fasa.safe_pickle import load_arrays

CLASSES = 80
IMAGES, INSTANCES = 99_411, 666_493
EDGES = (1, 20, 400, 8000)  # training instances at which SimCal's bins begin
BIN_CLASSES = (4, 24, 32, 20)
PUBLISHED = "train_coco2017_LT_sampled.json"
INDEX = "class_to_imageid_and_inscount_coco_sampled.pt"

TRAIN = Expected(
    name="COCO-LT train",
    fix=f"rebuild it from SimCal's {INDEX} or get its {PUBLISHED}",
    classes=CLASSES,
    annotated_images=IMAGES,  # the published file may list more
    instances=INSTANCES,
    federated=False,
    image_fix="name the folder train2017, unpacked from COCO's train2017.zip",
)
VAL = Expected(
    name="COCO val2017",
    fix="get instances_val2017.json, in annotations_trainval2017.zip, from cocodataset.org",
    classes=CLASSES,
    images=5000,
    federated=False,
    image_fix="name the folder val2017, unpacked from COCO's val2017.zip",
)


class _Source(msgspec.Struct):
    """COCO's annotations with every entry kept as it is written."""

    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[msgspec.Raw]
    licenses: msgspec.Raw = msgspec.Raw(b"[]")


class _Id(msgspec.Struct, gc=False):
    id: int


@dataclass(frozen=True)
class Index:
    """SimCal's definition of COCO-LT; classes count from 0 in the order of COCO's category ids."""

    images: tuple[np.ndarray, ...]  # int64, ids of the images that show the class
    instances: np.ndarray  # int64 (K,) annotations of the class in them
    order: np.ndarray  # int64 (I,) ids of all images in the order of the published file

    def bins(self) -> tuple[int, ...]:
        """Classes of each of SimCal's bins."""
        return bin_classes(self.instances)


def bin_classes(instances: np.ndarray) -> tuple[int, ...]:
    """How many classes have 1 to 19, 20 to 399, 400 to 7,999, and 8,000 or more training ``instances`` (K,)."""
    return tuple(np.bincount(np.searchsorted(EDGES, instances, side="right"), minlength=len(EDGES) + 1)[1:].tolist())


def read_index(path: Path) -> Index:
    """SimCal's index, a pickle of plain containers that is read without running anything in it.

    Raises:
        UserError: the file is missing or is not that index.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name SimCal's {INDEX}.") from error
    return _index(load_arrays(content, str(path)), path)


def _index(document: Any, path: Path) -> Index:
    try:
        classes = [document[number] for number in range(1, len(document) + 1)]
        images = tuple(np.array(entry["img_id"], np.int64) for entry in classes)
        instances = np.array([entry["isntance_count"] for entry in classes], np.int64)  # the file's own spelling
        place = {
            image: position
            for entry in classes
            for image, position in zip(entry["img_id"], entry["image_info_id"], strict=True)
        }
        if not classes or any(len(np.unique(ids)) < len(ids) or ids.ndim != 1 for ids in images):
            raise ValueError("an image twice in a class")
        if (instances < [len(ids) for ids in images]).any():
            raise ValueError("fewer instances than images")
        order = np.array(sorted(place, key=place.__getitem__), np.int64)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} is not SimCal's index of COCO-LT ({error}): get its {INDEX}.") from error
    return Index(images, instances, order)


def rebuild(index: Index, annotations: Path, destination: Path) -> str:
    """Write COCO-LT's training annotations to ``destination``; returns a sentence that says what they are.

    Of COCO's instances_train2017.json ``annotations``, those of the listed classes in the listed images are kept, byte
    by byte.

    Raises:
        UserError: the annotations are not COCO's, a class has more or fewer instances than the index says, or the file
            cannot be written.
    """
    source, name = read(annotations, _Source), annotations.name
    categories = [msgspec.json.decode(raw, type=NamedCategory) for raw in source.categories]
    numbers = np.sort([category.id for category in categories])
    names = [category.name for category in sorted(categories, key=lambda category: category.id)]
    if len(numbers) != len(index.images):
        raise UserError(
            f"{name} has {len(numbers)} classes where the index of COCO-LT has {len(index.images)}: {_official()}."
        )
    decoder = msgspec.json.Decoder(Instance)
    entries = [decoder.decode(raw) for raw in source.annotations]
    image, label = pairs(entries, numbers, name)
    kept = _listed(index, image, label, names, name)
    totals = np.bincount(label[kept], minlength=len(numbers))
    fewer = np.flatnonzero(totals < index.instances)
    if len(fewer):
        raise UserError(f"{name} has too few instances of {_classes(fewer, names, totals, index)}: {_official()}.")
    more = np.flatnonzero(totals > index.instances)
    if len(more):
        raise UserError(
            f"In the listed images {name} has more than COCO-LT's {_classes(more, names, totals, index)}, "
            f"and the index does not say which to keep: give SimCal's {PUBLISHED} instead."
        )
    note = f"COCO-LT: {len(index.order):,} images, {index.instances.sum():,} instances, as SimCal's index has them."
    _write(source, index, np.flatnonzero(kept), destination, note, name)
    return note


def _official() -> str:
    return "get instances_train2017.json, in annotations_trainval2017.zip, from cocodataset.org"


def _classes(which: np.ndarray, names: list[str], totals: np.ndarray, index: Index) -> str:
    return ", ".join(f"{names[k]} ({totals[k]:,}, not {index.instances[k]:,})" for k in which)


def _listed(index: Index, image: np.ndarray, label: np.ndarray, names: list[str], name: str) -> np.ndarray:
    """bool (A,): whether the index lists an annotation's class for its image; each listed pair must have one."""
    classes = len(index.images)
    wanted = np.concatenate([ids * classes + k for k, ids in enumerate(index.images)])
    key = image * classes + label
    lost = wanted[~np.isin(wanted, key)]
    if len(lost):
        places = [f"{names[k]} in image {i}" for i, k in zip(lost // classes, lost % classes, strict=True)]
        raise UserError(f"{name} has no annotation of {enumeration(places)}, which COCO-LT has: {_official()}.")
    return np.isin(key, wanted)


def _write(source: _Source, index: Index, kept: np.ndarray, destination: Path, note: str, name: str) -> None:
    decoder = msgspec.json.Decoder(_Id)
    images = {decoder.decode(raw).id: raw for raw in source.images}
    absent = [f"image {i}" for i in index.order if i not in images]
    if absent:
        raise UserError(f"{name} does not list {enumeration(absent)}: {_official()}.")
    document: Mapping[str, Any] = {
        "info": {"description": note},
        "licenses": source.licenses,
        "images": [images[i] for i in index.order.tolist()],
        "annotations": [source.annotations[i] for i in kept],
        "categories": sorted(source.categories, key=lambda raw: decoder.decode(raw).id),  # as labels are counted
    }
    write_bytes(destination, msgspec.json.encode(document))


def check(annotations: Path, images: Path, index: Index | None = None, sample: int = SAMPLE) -> Report:
    """What is wrong with a training file of COCO-LT, rebuilt or published, and with the folder train2017 ``images``.

    With ``index`` the count of every class is compared with its own.
    """
    report = compare(annotations, images, TRAIN, sample)
    counts = report.counts
    if counts is None or len(counts.ids) != CLASSES:
        return report
    found = bin_classes(counts.instances)
    bins = f"{' / '.join(map(str, found))} classes in SimCal's four bins"
    problems = []
    if found != BIN_CLASSES:
        split = " / ".join(map(str, BIN_CLASSES))
        problems.append(f"{annotations.name} has {bins} where COCO-LT has {split}: {TRAIN.fix}.")
    if index is not None:
        order = np.argsort(counts.ids)
        totals = counts.instances[order]
        differ = np.flatnonzero(totals != index.instances)
        if len(differ):
            which = _classes(differ, [counts.names[i] for i in order], totals, index)
            problems.append(
                f"{annotations.name} has another number of instances than the index of {which}: {TRAIN.fix}."
            )
    return report + Report(tuple(problems), (f"{annotations.name}: {bins}.",))


def check_val(annotations: Path, images: Path, sample: int = SAMPLE) -> Report:
    """What is wrong with COCO's val2017, on which COCO-LT is evaluated, or with the folder val2017 ``images``."""
    return compare(annotations, images, VAL, sample)
