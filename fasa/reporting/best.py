"""Which numbers of a column are the best: printed in bold, published ones and ours each for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fasa.study.artifacts import Column

RULE = "Bold: the best mean of a column; published and reproduced means each for themselves."
SIGNS = {  # by the first part of a column's key; other measurements are no better for being larger or smaller
    **dict.fromkeys(("accuracy", "mask_ap", "box_ap", "fixed", "pool"), 1),
    **dict.fromkeys(("tide", "cost"), -1),
}


def best(column: Column, means: Sequence[float | None], decimals: int) -> list[bool]:
    """Whether each of ``means`` is the best of its ``column``; what prints alike, to ``decimals``, is equally good.

    None is, where fewer than two are there or all print alike.
    """
    sign = SIGNS.get(column.key.split(".")[0], 0)
    rounded = [None if mean is None else sign * round(mean, decimals) for mean in means]
    different = {mean for mean in rounded if mean is not None}
    return [len(different) > 1 and mean == max(different) for mean in rounded]
