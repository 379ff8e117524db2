"""What several pages show, made once where they are rendered together: a table's cells, a figure for a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")

_made: ContextVar[dict[Any, Any] | None] = ContextVar("made", default=None)


@contextmanager
def rendered_together() -> Iterator[None]:
    """Inside, what :func:`made_once` makes is kept: all pages tell of the same runs, though others end meanwhile."""
    outside = _made.set({})
    try:
        yield
    finally:
        _made.reset(outside)


def made_once(make: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
    """Call ``make`` once for the same objects, as long as :func:`rendered_together` lasts; each time outside it."""

    @wraps(make)
    def kept(*arguments: Arguments.args, **options: Arguments.kwargs) -> Made:
        made = _made.get()
        if made is None:
            return make(*arguments, **options)
        key = (make, *map(id, arguments), *options.items())
        if key not in made:
            made[key] = make(*arguments, **options), arguments  # what an id is of must not go away
        return made[key][0]

    return kept
