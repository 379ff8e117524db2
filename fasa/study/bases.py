"""Things told by their difference from a base: recipes and scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fasa.errors import UserError

Content = dict[str, Any]


def resolve(
    name: str,
    read: Callable[[str, str | None], Content],
    where: Callable[[str], str],
    above: tuple[str, ...] = (),
) -> Content:
    """What ``name`` says, laid over what its ``base`` says, and so on down to one without a base.

    Args:
        read: gives what a name says; its second argument is the name that has it as base, None at first. It raises a
            UserError where there is no such thing.
        where: what an error calls a name.
        above: the names whose bases are being looked up.

    Raises:
        UserError: bases in a circle, or as ``read``.
    """
    difference = dict(read(name, above[-1] if above else None))
    base = difference.pop("base", None)
    if base is None:
        return difference
    if base in (*above, name):
        raise UserError(f"{where(name)} has itself among its bases.")
    return merge(resolve(base, read, where, (*above, name)), difference)


def merge(base: Content, difference: Content) -> Content:
    """``base`` with ``difference`` laid over it, mappings merged key by key; an augmenter is replaced whole."""
    merged = dict(base)
    for key, value in difference.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both and key not in ("augmenter", "drops") else value
    return merged
