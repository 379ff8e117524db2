"""LVIS's JSON for scenes: what lvis-api, pycocotools and MMDetection's LVISV1Dataset read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from fasa.datasets.glyphs.catalogue import glyphs
from fasa.datasets.glyphs.plan import SPLITS, Plan, ScenePlan
from fasa.datasets.glyphs.spec import GlyphScenes

Json = dict[str, Any]


def image_file(split: str, image_id: int) -> str:
    """The file of an image, relative to the data set's folder."""
    return f"{split}/{image_id:06d}.jpg"


def first_image_id(spec: GlyphScenes, split: str) -> int:
    """Images are numbered from 1 through train, then val, as in LVIS no number means two images."""
    return 1 if split == "train" else 1 + spec.train_images


def encode(masks: Sequence[np.ndarray]) -> list[Json]:
    """Each mask, bool [H, W], as an annotation's own part: compressed RLE, its pixels, and its tight box x, y, w, h."""
    parts = []
    for mask in masks:
        rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        parts.append(
            {
                "segmentation": {"size": list(mask.shape), "counts": rle["counts"].decode("ascii")},
                "area": int(mask.sum()),
                "bbox": coco_mask.toBbox(rle).tolist(),
            }
        )
    return parts


def documents(spec: GlyphScenes, plan: Plan, shapes: dict[str, list[list[Json]]]) -> dict[str, Json]:
    """The JSON of each split; ``shapes`` holds, for each image, what `encode` said of its annotated objects."""
    categories = _categories(spec, plan)
    result = {}
    number = 0  # annotation ids, too, are unique over both splits
    for split in SPLITS:
        images, annotations = [], []
        for offset, (scene, parts) in enumerate(zip(plan.scenes[split], shapes[split], strict=True)):
            image_id = first_image_id(spec, split) + offset
            images.append(_image(spec, split, image_id, scene))
            for label, part in zip(scene.annotated, parts, strict=True):
                number += 1
                annotations.append({"id": number, "image_id": image_id, "category_id": label + 1, **part})
        result[split] = {
            "info": {"description": f"Generated glyph scenes ({split}), labelled as LVIS v1 is", "version": "v1.0"},
            "licenses": [],
            "categories": categories,
            "images": images,
            "annotations": annotations,
        }
    return result


def _image(spec: GlyphScenes, split: str, image_id: int, scene: ScenePlan) -> Json:
    return {
        "id": image_id,
        "width": spec.side,
        "height": spec.side,
        # LVISV1Dataset takes coco_url, less COCO's address, for the file's name
        "coco_url": image_file(split, image_id),
        "file_name": image_file(split, image_id),
        "neg_category_ids": [label + 1 for label in scene.negatives],
        "not_exhaustive_category_ids": [label + 1 for label in scene.not_exhaustive],
        # what LVIS cannot tell: the objects that nobody annotated, and what holds a scene together
        "unannotated_category_ids": sorted(label + 1 for label in scene.unannotated),
        "theme": scene.theme,
    }


def _categories(spec: GlyphScenes, plan: Plan) -> list[Json]:
    """Categories 1..C in the catalogue's order, with their training counts, as LVIS has them in both splits."""
    instances = Counter(label for scene in plan.scenes["train"] for label in scene.annotated)
    return [
        {
            "id": label + 1,
            "name": glyph.name,
            "synset": f"{glyph.name}.n.01",
            "synonyms": [glyph.name],
            "def": f"U+{ord(glyph.character):04X} in {glyph.font.removesuffix('.ttf')}",
            "frequency": plan.frequency[label],
            "image_count": int(plan.image_counts[label]),
            "instance_count": instances[label],
        }
        for label, glyph in enumerate(glyphs(0, spec.classes))
    ]
