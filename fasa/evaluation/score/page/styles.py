"""How the files are told apart in charts: by the dashes of a line and the hatching of a bar, and by colour as well."""

from __future__ import annotations

from collections.abc import Sequence

from fasa.evaluation.score.page.markup import Markup, tag

COLOURS = ("#1b4f8f", "#b3541e", "#3a7d44", "#7a3b8f", "#555555", "#a02c46")
DASHES = ("", "6 3", "2 2", "9 3 2 3", "12 4", "1 4")
# Lines inside a tile of 8 x 8; the first file's bars are full.
HATCHES = ("M0 4H8M4 0V8M0 0H8M0 0V8", "M0 8L8 0", "M0 0L8 8", "M4 0V8", "M0 4H8", "M0 0L8 8M0 8L8 0")


def line(file: int) -> dict[str, str | float | None]:
    """Attributes of a file's line; after six files the dashes come again, thicker."""
    again, place = divmod(file, len(DASHES))
    return {
        "stroke": COLOURS[place],
        "stroke_dasharray": DASHES[place] or None,
        "stroke_width": 1.6 + again,
        "fill": "none",
    }


def fill(file: int) -> str:
    place = file % len(COLOURS)
    return f"url(#hatch-{place})" if place else COLOURS[0]


def hatches() -> Markup:
    """The patterns that ``fill`` names, once a page."""
    patterns = [
        tag(
            "pattern",
            tag("rect", width=8, height=8, fill="#fff"),
            tag("path", d=hatch, stroke=colour, stroke_width=2, fill="none"),
            id=f"hatch-{place}",
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
        )
        for place, (hatch, colour) in enumerate(zip(HATCHES, COLOURS, strict=True))
    ]
    return tag("svg", tag("defs", *patterns), class_="definitions", aria_hidden="true")


def legend(labels: Sequence[str], bars: bool = False) -> Markup:
    """Each file's line or bar beside its name."""
    entries = []
    for file, label in enumerate(labels):
        if bars:
            mark = tag("rect", x=1, y=2, width=34, height=10, fill=fill(file), stroke=COLOURS[file % len(COLOURS)])
        else:
            mark = tag("path", d="M0 7H36", **line(file))
        entries.append(tag("li", tag("svg", mark, viewBox="0 0 36 14", width=36, height=14, aria_hidden="true"), label))
    return tag("ul", *entries, class_="legend")
