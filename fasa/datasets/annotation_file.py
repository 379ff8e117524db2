"""LVIS's and COCO's annotations JSON, read lean: only the fields that are asked for become Python objects."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from fasa.errors import UserError

Entries = TypeVar("Entries")

NOTHING = msgspec.Raw(b"")  # a field that the file lacks
_ARCHIVES = {b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "compressed by gzip"}


class Category(msgspec.Struct, gc=False):
    """A class; the frequency letter (r, c, f) and the counts of training images and instances are LVIS's."""

    id: int
    name: str
    frequency: str = ""
    image_count: int | None = None
    instance_count: int | None = None


class Image(msgspec.Struct, gc=False):
    """An image; LVIS v1 names its file by ``coco_url``, COCO by ``file_name``; the two lists, as JSON, are LVIS's."""

    id: int
    height: int
    width: int
    file_name: str = ""
    coco_url: str = ""
    neg_category_ids: msgspec.Raw = NOTHING
    not_exhaustive_category_ids: msgspec.Raw = NOTHING


class Instance(msgspec.Struct, gc=False):
    """Which class an annotation puts into which image: all that counts need."""

    image_id: int
    category_id: int


class Annotation(Instance, gc=False, kw_only=True):
    """An annotation whose mask stays JSON, a view of the file: polygons as Python lists are six times as large."""

    id: int
    area: float
    bbox: tuple[float, float, float, float]
    segmentation: msgspec.Raw = NOTHING


class Categories(msgspec.Struct):
    """The classes alone, in the order of the file."""

    categories: list[Category]


class Instances(Categories):
    """The classes, and what is where."""

    annotations: list[Instance]


class Document(Categories):
    """All that is checked before a training."""

    images: list[Image]
    annotations: list[Annotation]


def read(path: Path, entries: type[Entries] = Document) -> Entries:
    """The parts of the JSON file ``path`` that the struct ``entries`` names.

    Raises:
        UserError: the file is missing, packed, empty, cut short, no JSON, or lacks a field.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name an annotations file.") from error
    for magic, kind in _ARCHIVES.items():
        if content.startswith(magic):
            raise UserError(f"{path} is {kind}: unpack it and name the JSON file inside.")
    if not content.strip():
        raise UserError(f"{path} is empty: get the annotations again.")
    try:
        return msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=entries)
    except msgspec.ValidationError as error:
        raise UserError(f"{path} is no annotations file of LVIS or COCO ({error}): get the official one.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is damaged or was cut short ({error}): get the annotations again.") from error
