"""Entries of the official annotations JSON: typed by msgspec, or built carefully from what Python's json gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fasa.errors import UserError
from fasa.evaluation.io import fields

Side = Annotated[int, Meta(ge=1, le=fields.LARGEST_SIDE)]
Id = Annotated[int, Meta(ge=-fields.LARGEST_ID, le=fields.LARGEST_ID)]
Length = Annotated[float, Meta(ge=0)]
Built = TypeVar("Built")


class Image(msgspec.Struct, gc=False):
    """An image; the two lists are LVIS's."""

    id: Id
    height: Side
    width: Side
    neg_category_ids: list[Id] | UnsetType = UNSET
    not_exhaustive_category_ids: list[Id] | UnsetType = UNSET


class Category(msgspec.Struct, gc=False):
    """A class; the frequency letter is LVIS's."""

    id: Id
    name: str | UnsetType = UNSET
    frequency: str | UnsetType = UNSET


class Annotation(msgspec.Struct, gc=False):
    """An object; the typed parser leaves its segmentation JSON (``Raw``), as 1.3 GB of polygons make 6 GB of lists."""

    id: Id
    image_id: Id
    category_id: Id
    area: float
    bbox: tuple[float, float, Length, Length]
    iscrowd: bool | int | float = False
    ignore: bool | int | float = False
    segmentation: Any = None


class _TypedAnnotation(Annotation, gc=False):
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


class Document(msgspec.Struct, gc=False):
    """The parts of the file that scores are made from."""

    images: list[Image]
    categories: list[Category]
    annotations: list[Annotation]


class _TypedDocument(msgspec.Struct, gc=False):
    images: list[Image]
    categories: list[Category]
    annotations: list[_TypedAnnotation]


def parse(content: bytes, name: str) -> Document | _TypedDocument:
    """The entries of a JSON file.

    Raises:
        UserError: it is no JSON, no annotations, or the first faulty entry and field; ``name`` is the file's.
    """
    try:
        return msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=_TypedDocument)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # what Python's json makes of it decides
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text: give the annotations as JSON.") from error
    except json.JSONDecodeError as error:
        ends = "is empty" if not content.strip() else f"is no JSON or was cut short ({error})"
        raise UserError(f"{name} {ends}: copy or write the annotations again.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} cannot be read ({error}): write the annotations again.") from error
    return from_objects(document, name)


def from_objects(document: Any, name: str) -> Document:
    """The entries of a document as ``json.loads`` gives it, each field checked.

    Raises:
        UserError: the first faulty entry and field.
    """
    if isinstance(document, list):
        raise UserError(f"{name} is a list, like results: give the annotations, an object with images and categories.")
    document = fields.record(document, name)
    return Document(
        _each(document, "images", name, _image),
        _each(document, "categories", name, _category),
        _each(document, "annotations", name, _annotation),
    )


def _each(document: Any, key: str, name: str, build: Callable[[Any, str], Built]) -> list[Built]:
    entries = fields.present(document, key, name)
    if not isinstance(entries, list | tuple):
        raise fields.wrong(name, key, entries, "write a list")
    label = {"images": "image", "categories": "category", "annotations": "annotation"}[key]
    built = []
    for i, entry in enumerate(entries):
        where = f"{name}: {label} {i}"
        built.append(build(fields.record(entry, where), where))
    return built


def _id(entry: Any, key: str, where: str) -> int:
    return fields.whole(fields.present(entry, key, where), where, key)


def _image(entry: Any, where: str) -> Image:
    sides = (
        fields.whole(fields.present(entry, key, where), where, key, 1, fields.LARGEST_SIDE)
        for key in ("height", "width")
    )
    lists = {}
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        if key in entry:
            if not isinstance(entry[key], list | tuple):
                raise fields.wrong(where, key, entry[key], "write a list of category ids")
            lists[key] = [fields.whole(value, where, key) for value in entry[key]]
    return Image(_id(entry, "id", where), *sides, **lists)


def _category(entry: Any, where: str) -> Category:
    texts = {key: entry[key] for key in ("name", "frequency") if key in entry}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise fields.wrong(where, key, text, "write text")
    return Category(_id(entry, "id", where), **texts)


def _annotation(entry: Any, where: str) -> Annotation:
    area = fields.present(entry, "area", where)
    return Annotation(
        _id(entry, "id", where),
        _id(entry, "image_id", where),
        _id(entry, "category_id", where),
        # infinity is judged later: lvis-api leaves such an annotation out
        float(area) if isinstance(area, float) and abs(area) == float("inf") else fields.finite(area, where, "area"),
        fields.box(fields.present(entry, "bbox", where), where),
        **{key: fields.flag(entry[key], where, key) for key in ("iscrowd", "ignore") if key in entry},
        segmentation=entry.get("segmentation"),
    )
