"""HTML and SVG elements as text; what is not markup already is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

VOID = {"br", "input", "wbr"}


class Markup(str):
    """Text that is HTML already."""


def tag(element: str, *children: str | int, **attributes: str | float | None) -> Markup:
    """One element. In attributes' names "_" stands for "-" (at the end: for nothing); those of None are left out."""
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Markup(f"<{element}{shown}>")
    return Markup(f"<{element}{shown}>{join(children)}</{element}>")


def join(parts: Iterable[str | int]) -> Markup:
    """The parts one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else escape(str(part)) for part in parts))


def section(heading: str, *children: str) -> Markup:
    return tag("section", tag("h2", heading), *children)


def sentence(text: str) -> Markup:
    return tag("p", text, class_="note")


def table(headings: Sequence[str], rows: Iterable[Iterable[str | int]], name: str, class_: str = "") -> Markup:
    """A table whose cells know their columns' headings, which narrow screens show beside them.

    The first column holds the rows' names.
    """
    body = []
    for row in rows:
        first, *others = row
        cells = [tag("td", cell, data_label=head) for head, cell in zip(headings[1:], others, strict=True)]
        body.append(tag("tr", tag("th", first, scope="row"), *cells))
    head = tag("thead", tag("tr", *(tag("th", _breakable(head), scope="col") for head in headings)))
    return tag(
        "div",
        tag("table", tag("caption", name), head, tag("tbody", *body), class_=class_ or None),
        class_="wide",
    )


def _breakable(heading: str) -> Markup:
    """The heading with leave to break a line behind each of ``_-./``, as names of files need it."""
    return join(part for piece in re.findall(r"[^_\-./]*[_\-./]|[^_\-./]+", heading) for part in (piece, tag("wbr")))
