"""Augmenters of other packages: whatever is installed with an entry point of the group ``fasa.augmenters``."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import entry_points

from fasa.augmenters import AUGMENTERS, Registered
from fasa.errors import UserError

GROUP = "fasa.augmenters"
PLACE = re.compile(r"(\w+(?:\.\w+)*):(\w+)")  # module:Class


def augmenters() -> dict[str, Registered]:
    """Every augmenter by its name: ours, then those of other packages.

    Raises:
        UserError: another package's has a name of ours or of a third one, or is no ``module:Class``.
    """
    return {**AUGMENTERS, **_of_others()}


@cache
def _of_others() -> dict[str, Registered]:
    found: dict[str, Registered] = {}
    for point in entry_points(group=GROUP):
        package = point.dist.name if point.dist else point.value
        where = f"package '{package}': the entry point '{point.name}' of {GROUP}"
        if not PLACE.fullmatch(point.value):
            raise UserError(f"{where} is '{point.value}'; write it as 'module:Class'.")
        if point.name in AUGMENTERS or point.name in found:
            owner = "fasa" if point.name in AUGMENTERS else f"package '{found[point.name].package}'"
            raise UserError(f"{where} has the name of an augmenter of {owner}; give it another, and install it anew.")
        found[point.name] = Registered((point.value,), package=package)
    return found
