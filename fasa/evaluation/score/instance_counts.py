"""How often a model saw each class in training, from a file; COCO-LT's bins are cut by it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from fasa.errors import UserError
from fasa.evaluation.io.ground_truth import GroundTruth


class _Category(msgspec.Struct):
    id: int
    instance_count: int | None = None


class _Annotation(msgspec.Struct):
    category_id: int


class _Training(msgspec.Struct):
    categories: list[_Category]
    annotations: list[_Annotation]


def load_instance_counts(path: Path, ground_truth: GroundTruth) -> np.ndarray:
    """Training instances of every category of ``ground_truth``, int64 (K,), in the order of its category ids.

    ``path`` is JSON: ``{category id: count}``; or a list of categories with "instance_count", such as LVIS publishes;
    or training annotations, whose categories have "instance_count" or whose annotations (crowds too, as SimCal counted
    for COCO-LT) are counted.

    Raises:
        UserError: the file is missing or none of these, or lacks a category; or ``ground_truth`` is LVIS.
    """
    if ground_truth.kind != "coco":
        raise UserError(
            f"{ground_truth.name} is LVIS, which has frequencies of its own; --instance-counts is for COCO annotations."
        )
    try:
        counts = _read(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    except msgspec.DecodeError as error:
        raise UserError(
            f"{path} holds no instance counts ({error}); give {{category id: count}}, a list of categories with "
            "instance_count, or training annotations."
        ) from error
    for category, name in zip(ground_truth.category_ids.tolist(), ground_truth.category_names, strict=True):
        if counts.get(category, -1) < 0:
            raise UserError(f"{path} has no instance count for category {category} ('{name}'); add one of 0 or more.")
    return np.array([counts[category] for category in ground_truth.category_ids.tolist()], dtype=np.int64)


def _read(content: bytes) -> dict[int, int]:
    if content.lstrip()[:1] == b"[":
        categories = msgspec.json.decode(content, type=list[_Category])
        return {c.id: c.instance_count for c in categories if c.instance_count is not None}
    # Keys alone tell the two kinds of object apart, whatever is wrong inside them.
    if "categories" not in msgspec.json.decode(content, type=dict[str, msgspec.Raw]):
        return msgspec.json.decode(content, type=dict[int, int])
    training = msgspec.json.decode(content, type=_Training)
    if all(c.instance_count is not None for c in training.categories):
        return {c.id: c.instance_count for c in training.categories}
    counts = dict.fromkeys((c.id for c in training.categories), 0)
    for annotation in training.annotations:
        counts[annotation.category_id] = counts.get(annotation.category_id, 0) + 1
    return counts
