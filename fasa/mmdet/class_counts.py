"""What losses, augmenters and data sets must know of the classes: their training counts, names and frequencies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fasa.errors import UserError


def read_class_counts(
    source: Sequence[int] | str | Path | None, classes: int, field: str = "class_counts", images: bool = False
) -> Tensor:
    """Training instances of each class, ``[classes]`` int64, in the order of the detector's labels.

    Args:
        source: a list; the path of a JSON list; or that of the training annotations, in LVIS's or COCO's format, which
            are counted, crowds included. For LVIS v1 that takes half a minute and some gigabytes in each process.
        classes: ``C``.
        field: what an error calls it.
        images: count a class's images instead, where ``source`` are annotations.

    Raises:
        UserError: no such file, no list of whole numbers of at least 1, or of another length than ``classes``.
    """
    where, values = field, source
    if isinstance(source, str | Path):
        where = f"{field} in {source}"
        try:
            values = _counts_in(Path(source), Path(source).stat().st_mtime_ns, images)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{source}, the file of {field}, is missing or no JSON; prepare the data set again."
            ) from error
        except (KeyError, TypeError) as error:
            raise UserError(f"{where} is neither a list nor annotations of LVIS or COCO; name another.") from error
    if (
        not isinstance(values, Sequence)
        or isinstance(values, str)
        or not all(isinstance(value, int) and not isinstance(value, bool) and value >= 1 for value in values)
    ):
        raise UserError(f"{where} must be a list of whole numbers of at least 1, one for each class.")
    if len(values) != classes:
        raise UserError(
            f"{where} has {len(values)} numbers but num_classes of the box head is {classes}; make them agree."
        )
    return torch.tensor(list(values), dtype=torch.long)


@lru_cache(maxsize=8)  # a cascade has three heads
def _counts_in(path: Path, changed: int, images: bool) -> Any:
    """What a JSON file holds, or the counts of its annotations; ``changed`` is when it did, lest an old one be told."""
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        return content
    present = [(entry["category_id"], entry["image_id"]) for entry in content["annotations"]]
    counts = Counter(category for category, _ in (set(present) if images else present))
    return [counts[category["id"]] for category in content["categories"]]


def read_categories(annotations: Path) -> list[dict[str, Any]]:
    """The classes of a file in LVIS's or COCO's format, in its order: ``id``, ``name``, LVIS's ``frequency``, …

    Raises:
        UserError: the file cannot be read or lists no classes.
    """
    try:
        categories = json.loads(annotations.read_bytes())["categories"]
        complete = all(isinstance(category["name"], str) for category in categories)
    except OSError as error:
        raise UserError(f"{annotations} cannot be read ({error.strerror}): name an annotations file.") from error
    except ValueError as error:
        raise UserError(f"{annotations} is damaged or was cut short ({error}): get the annotations again.") from error
    except (KeyError, TypeError):
        complete = False
    if not complete:
        raise UserError(f"{annotations} is no annotations file of LVIS or COCO: get the official one.")
    return categories


def read_frequencies(annotations: Path) -> tuple[str, ...]:
    """The letter r, c or f of every class of an LVIS file, in the order of the file.

    Raises:
        UserError: the file cannot be read or a class has no such letter.
    """
    categories = read_categories(annotations)
    for category in categories:
        if category.get("frequency", "") not in ("r", "c", "f"):
            raise UserError(
                f'{annotations}: category {category["id"]} ("{category["name"]}") has '
                f'{category.get("frequency", "")!r} for its "frequency": write "r", "c" or "f", as LVIS does.'
            )
    return tuple(category["frequency"] for category in categories)
