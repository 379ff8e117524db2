"""``LVIS`` under lvis-api's name; JSON becomes Python objects only where somebody asks for them."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from pycocotools import mask as coco

from fasa.errors import UserError
from fasa.evaluation.drop_in.inputs import read_truth
from fasa.evaluation.io.annotation_json import Id, read
from fasa.evaluation.io.files import ByteStream, first_bytes
from fasa.evaluation.io.ground_truth import GroundTruth
from fasa.evaluation.io.masks import from_polygons, from_rle

Entry = dict[str, Any]

_INDEX = ("anns", "cats", "imgs", "img_ann_map", "cat_img_map")


class LVIS:
    """Annotations of LVIS, as ``lvis.LVIS``.

    What is scored is the file; or the ``dataset``, once it was asked for, whatever the caller has made of it.

    Args:
        annotation_path: the official JSON.

    Raises:
        UserError: the file cannot be read; a faulty entry is told when it is needed.
    """

    def __init__(self, annotation_path: str | Path) -> None:
        self.logger = logging.getLogger(__name__)
        self._path = Path(annotation_path)
        first_bytes(self._path)

    @cached_property
    def dataset(self) -> dict[str, Any]:
        """The whole document."""
        return load_json(self._path, dict)

    @cached_property
    def anns(self) -> dict[int, Entry]:
        """Annotations by id."""
        return {entry["id"]: entry for entry in self.dataset["annotations"]}

    @cached_property
    def cats(self) -> dict[int, Entry]:
        """Categories by id."""
        return {entry["id"]: entry for entry in self.dataset["categories"]}

    @cached_property
    def imgs(self) -> dict[int, Entry]:
        """Images by id."""
        return {entry["id"]: entry for entry in self.dataset["images"]}

    @cached_property
    def img_ann_map(self) -> dict[int, list[Entry]]:
        """Annotations of each image."""
        found = defaultdict(list)
        for entry in self.dataset["annotations"]:
            found[entry["image_id"]].append(entry)
        return found

    @cached_property
    def cat_img_map(self) -> dict[int, list[int]]:
        """The image of each annotation, by category."""
        found = defaultdict(list)
        for entry in self.dataset["annotations"]:
            found[entry["category_id"]].append(entry["image_id"])
        return found

    def _create_index(self) -> None:
        """Make the maps again of a ``dataset`` that was changed."""
        for name in _INDEX:
            self.__dict__.pop(name, None)

    def truth(self, iou_type: str) -> GroundTruth:
        """What is scored, as columns."""
        if "dataset" in self.__dict__:
            return read_truth(self, iou_type, "lvis")
        return self._boxes_of_file if iou_type == "bbox" else self._masks_of_file

    @cached_property
    def _boxes_of_file(self) -> GroundTruth:
        return read_truth(self._path, "bbox", "lvis")

    @cached_property
    def _masks_of_file(self) -> GroundTruth:
        return read_truth(self._path, "segm", "lvis")

    @cached_property
    def _ids(self) -> _Ids:
        return read(self._path, _Ids)

    def _all_ids(self, part: str) -> list[int]:
        """Ids in the order of the file, without reading more than them."""
        entries = self.dataset[part] if "dataset" in self.__dict__ else getattr(self._ids, part)
        return list(dict.fromkeys(entry["id"] if isinstance(entry, dict) else entry.id for entry in entries))

    def get_ann_ids(
        self,
        img_ids: Iterable[int] | None = None,
        cat_ids: Iterable[int] | None = None,
        area_rng: Sequence[float] | None = None,
    ) -> list[int]:
        """Ids of the annotations of the images and categories, with an area inside the open range; all if not given."""
        if img_ids is None and cat_ids is None and area_rng is None:
            return self._all_ids("annotations")
        entries = self.dataset["annotations"]
        if img_ids is not None:
            entries = [entry for image in img_ids for entry in self.img_ann_map.get(image, [])]
        if cat_ids is not None:
            wanted = set(cat_ids)
            entries = [entry for entry in entries if entry["category_id"] in wanted]
        if cat_ids is not None or area_rng is not None:
            low, high = area_rng or (0, float("inf"))
            entries = [entry for entry in entries if low < entry["area"] < high]
        return [entry["id"] for entry in entries]

    def get_cat_ids(self) -> list[int]:
        """Ids of all categories, in the order of the file."""
        return self._all_ids("categories")

    def get_img_ids(self) -> list[int]:
        """Ids of all images, in the order of the file."""
        return self._all_ids("images")

    def load_anns(self, ids: Iterable[int] | None = None) -> list[Entry]:
        """The annotations with these ids; all if not given."""
        return _chosen(self.anns, ids)

    def load_cats(self, ids: Iterable[int] | None) -> list[Entry]:
        """The categories with these ids; all for None."""
        return _chosen(self.cats, ids)

    def load_imgs(self, ids: Iterable[int] | None) -> list[Entry]:
        """The images with these ids; all for None."""
        return _chosen(self.imgs, ids)

    def ann_to_rle(self, ann: Entry) -> Entry:
        """An annotation's mask as a compressed RLE object."""
        image = self.imgs[ann["image_id"]]
        size, where = (image["height"], image["width"]), f"annotation {ann.get('id')}"
        mask = ann["segmentation"]
        if isinstance(mask, list):
            return {"size": list(size), "counts": from_polygons(mask, size, where)}
        size, counts = from_rle(mask, where)
        return {"size": list(size), "counts": counts}

    def ann_to_mask(self, ann: Entry) -> Any:
        """An annotation's mask, uint8 (height, width)."""
        return coco.decode(self.ann_to_rle(ann))


def load_json(path: Path, kind: type) -> Any:
    """The ``kind`` of object, dict or list, in a JSON file.

    Raises:
        UserError: the file cannot be read, is no JSON, or holds something else.
    """
    with ByteStream(path) as stream:
        content = stream.read()
    try:
        found = json.loads(content)
    except ValueError as error:
        raise UserError(f"{path} is no JSON or was cut short ({error}): copy or write it again.") from error
    if not isinstance(found, kind):
        wanted = "annotations, an object" if kind is dict else "results, a list"
        raise UserError(f"{path} holds a {type(found).__name__}: give {wanted}.")
    return found


def _chosen(entries: dict[int, Entry], ids: Iterable[int] | None) -> list[Entry]:
    return list(entries.values()) if ids is None else [entries[number] for number in ids]


class _Id(msgspec.Struct, gc=False):
    id: Id


class _Ids(msgspec.Struct, gc=False):
    images: list[_Id]
    categories: list[_Id]
    annotations: list[_Id]
