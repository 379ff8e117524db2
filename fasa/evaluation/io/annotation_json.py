"""LVIS's and COCO's annotations JSON, the one reader: only the fields that are asked for become Python objects.

``read`` is the quick way, typed by msgspec: it reads the parts that a struct names, and refuses what does not fit.
``parse`` is for scoring, which accepts all that the official tools accept: where the quick way fails, it builds the
entries from what Python's json gives, field by field, and names the first that is faulty.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fasa.errors import UserError
from fasa.evaluation.io import fields
from fasa.evaluation.io.files import explained, opened

Side = Annotated[int, Meta(ge=1, le=fields.LARGEST_SIDE)]
Id = Annotated[int, Meta(ge=-fields.LARGEST_ID, le=fields.LARGEST_ID)]
Length = Annotated[float, Meta(ge=0)]
Parts = TypeVar("Parts")
Built = TypeVar("Built")

LIKE_RESULTS = "{} is a list, like results: give the annotations, an object with images and categories."
_BOM = b"\xef\xbb\xbf"
_ARCHIVES = {b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "compressed by gzip"}


class Category(msgspec.Struct, gc=False):
    """A class; the frequency letter (r, c, f) and the count of training instances are LVIS's."""

    id: Id
    name: str | UnsetType = UNSET
    frequency: str = ""
    instance_count: int | None = None


class NamedCategory(Category, gc=False, kw_only=True):
    """A class whose name is needed, as it is to train a model."""

    name: str


class ImageSize(msgspec.Struct, gc=False):
    """What every image has; height and width in pixels."""

    id: Id
    height: Side
    width: Side


class Image(ImageSize, gc=False):
    """An image to train on; LVIS v1 names its file by ``coco_url``, COCO by ``file_name``; LVIS's lists stay JSON."""

    file_name: str = ""
    coco_url: str = ""
    neg_category_ids: Raw = Raw(b"")
    not_exhaustive_category_ids: Raw = Raw(b"")


class ScoredImage(msgspec.Struct, gc=False):
    """An image to score on: boxes need no size (0: not given), and LVIS's lists are in LVIS alone."""

    id: Id
    height: Side = 0
    width: Side = 0
    coco_url: str = ""
    neg_category_ids: list[Id] | UnsetType = UNSET
    not_exhaustive_category_ids: list[Id] | UnsetType = UNSET


class Instance(msgspec.Struct, gc=False):
    """Which class an annotation puts into which image: all that counts need."""

    image_id: Id
    category_id: Id


class _Object(Instance, gc=False, kw_only=True):
    """The quick way leaves the segmentation JSON (``Raw``), as 1.3 GB of polygons make 6 GB of lists."""

    id: Id
    area: float
    iscrowd: bool | int | float = False
    ignore: bool | int | float = False
    segmentation: Raw = Raw(b"null")


class Annotation(_Object, gc=False, kw_only=True):
    """An object to train on."""

    bbox: tuple[float, float, Length, Length]


class ScoredAnnotation(_Object, gc=False, kw_only=True):
    """An object to score on: masks need no box, boxes no segmentation."""

    bbox: tuple[float, float, Length, Length] | UnsetType = UNSET


class ParsedAnnotation(ScoredAnnotation, gc=False, kw_only=True):
    """An object of a document that is in memory already, or that the quick way does not take."""

    segmentation: Any = None


class Categories(msgspec.Struct):
    """The classes alone, in the order of the file."""

    categories: list[NamedCategory]


class Instances(Categories):
    """The classes, and what is where."""

    annotations: list[Instance]


class Images(msgspec.Struct):
    """The images alone."""

    images: list[Image]


class Document(Categories):
    """All that is checked before a training."""

    images: list[Image]
    annotations: list[Annotation]


class ScoringDocument(msgspec.Struct, gc=False):
    """The parts that scores are made from."""

    images: list[ScoredImage]
    categories: list[Category]
    annotations: list[ScoredAnnotation]


class ParsedDocument(ScoringDocument, gc=False):
    """The same of a document that is in memory."""

    annotations: list[ParsedAnnotation]  # type: ignore[assignment]  # what these add replaces JSON by objects


class _Counted(msgspec.Struct):
    categories: list[Category]
    annotations: list[Instance]


def read(path: Path, parts: type[Parts] = Document) -> Parts:  # type: ignore[assignment]  # mypy: no default for a TypeVar
    """The parts of the JSON file ``path`` that the struct ``parts`` names.

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
        return msgspec.json.decode(content.removeprefix(_BOM), type=parts)
    except msgspec.ValidationError as error:
        raise UserError(f"{path} is no annotations file of LVIS or COCO ({error}): get the official one.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is damaged or was cut short ({error}): get the annotations again.") from error


def read_instance_counts(path: Path) -> dict[int, int]:
    """Training instances by category id.

    ``path`` is JSON: ``{category id: count}``; or a list of categories with "instance_count", such as LVIS publishes;
    or training annotations, whose categories have "instance_count" or whose annotations (crowds too, as SimCal counted
    for COCO-LT) are counted.

    Raises:
        UserError: the file is missing or none of these.
    """
    with explained(path), opened(path) as stream:
        content = stream.read()
    try:
        return _instance_counts(content)
    except msgspec.DecodeError as error:
        raise UserError(
            f"{path} holds no instance counts ({error}); give {{category id: count}}, a list of categories with "
            "instance_count, or training annotations."
        ) from error


def _instance_counts(content: bytes) -> dict[int, int]:
    if content.lstrip()[:1] == b"[":
        categories = msgspec.json.decode(content, type=list[Category])
        return {c.id: c.instance_count for c in categories if c.instance_count is not None}
    # Keys alone tell the two kinds of object apart, whatever is wrong inside them.
    if "categories" not in msgspec.json.decode(content, type=dict[str, Raw]):
        return msgspec.json.decode(content, type=dict[int, int])
    training = msgspec.json.decode(content, type=_Counted)
    counts = {c.id: c.instance_count for c in training.categories if c.instance_count is not None}
    if any(c.instance_count is None for c in training.categories):
        counts = dict.fromkeys((c.id for c in training.categories), 0)
        for instance in training.annotations:
            counts[instance.category_id] = counts.get(instance.category_id, 0) + 1
    return counts


def parse(content: bytes, name: str) -> ScoringDocument:
    """What scores are made from, of a JSON file's bytes.

    Raises:
        UserError: it is no JSON, no annotations, or the first faulty entry and field; ``name`` is the file's.
    """
    try:
        return msgspec.json.decode(content.removeprefix(_BOM), type=ScoringDocument)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # Python's json decides what is accepted, and names the fault
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


def from_objects(document: Any, name: str) -> ScoringDocument:
    """The entries of a document as ``json.loads`` gives it, each field checked.

    Raises:
        UserError: the first faulty entry and field.
    """
    try:
        quick = msgspec.convert(document, type=ParsedDocument)
    except msgspec.ValidationError:
        quick = None
    if quick and all(_is_finite(entry) for entry in quick.annotations):
        return quick
    if isinstance(document, list):
        raise UserError(LIKE_RESULTS.format(name))
    document = fields.record(document, name)
    return ScoringDocument(
        _each(document, "images", name, _image),
        _each(document, "categories", name, _category),
        _each(document, "annotations", name, _annotation),
    )


def _is_finite(entry: ScoredAnnotation) -> bool:
    """Whether no number of an entry is NaN and its box not infinite, which JSON's quick way cannot hold."""
    return not math.isnan(entry.area) and (entry.bbox is UNSET or all(map(math.isfinite, entry.bbox)))


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


def _image(entry: Any, where: str) -> ScoredImage:
    image = ScoredImage(_id(entry, "id", where))
    for key in ("height", "width"):
        if entry.get(key) is not None:
            setattr(image, key, fields.whole(entry[key], where, key, 1, fields.LARGEST_SIDE))
    if isinstance(entry.get("coco_url"), str):
        image.coco_url = entry["coco_url"]
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        if key in entry:
            if not isinstance(entry[key], list | tuple):
                raise fields.wrong(where, key, entry[key], "write a list of category ids")
            setattr(image, key, [fields.whole(value, where, key) for value in entry[key]])
    return image


def _category(entry: Any, where: str) -> Category:
    texts = {key: entry[key] for key in ("name", "frequency") if key in entry}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise fields.wrong(where, key, text, "write text")
    return Category(_id(entry, "id", where), **texts)


def _annotation(entry: Any, where: str) -> ParsedAnnotation:
    area = fields.present(entry, "area", where)
    return ParsedAnnotation(
        id=_id(entry, "id", where),
        image_id=_id(entry, "image_id", where),
        category_id=_id(entry, "category_id", where),
        # infinity is dealt with later: lvis-api leaves such an annotation out
        area=area if isinstance(area, float) and math.isinf(area) else fields.finite(area, where, "area"),
        bbox=fields.box(entry["bbox"], where) if _given(entry.get("bbox")) else UNSET,
        **{key: fields.flag(entry[key], where, key) for key in ("iscrowd", "ignore") if key in entry},
        segmentation=entry.get("segmentation"),
    )


def _given(bbox: Any) -> bool:
    """Whether there is a box at all: null and [] are none."""
    return bbox is not None and not (isinstance(bbox, list | tuple) and not bbox)
