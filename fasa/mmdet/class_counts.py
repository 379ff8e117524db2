"""Training instances (or images) of each class, as a recipe gives them: a list, or the path of a JSON list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from fasa.errors import UserError


def read_class_counts(source: Sequence[int] | str | Path | None, classes: int, field: str = "class_counts") -> Tensor:
    """Counts ``[classes]`` int64 from a list or from a JSON file that holds one.

    Raises:
        UserError: no such file, no list of whole numbers of at least 1, or of another length than ``classes``.
    """
    where, values = field, source
    if isinstance(source, str | Path):
        where = f"{field} in {source}"
        try:
            values = json.loads(Path(source).read_text())
        except (OSError, ValueError) as error:
            raise UserError(
                f"{source}, the file of {field}, is missing or no JSON; prepare the data set again."
            ) from error
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
