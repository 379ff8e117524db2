"""An image with its boxes: kinds differ by dashes and a sign at the corner, and by colour as well."""

from __future__ import annotations

from collections.abc import Iterator

from fasa.evaluation import GroundTruth
from fasa.evaluation.score.page.boxes import truth_box
from fasa.evaluation.score.page.markup import Markup, tag
from fasa.evaluation.score.page.photos import Photo
from fasa.evaluation.score.page.verdicts import Verdicts, found_truths

# Name, sign, colour and dashes; drawn in this order, the last on top.
FOUND = ("object that was found", "", "#ffffff", "1 3")
HIT = ("hit", "✓", "#57e389", "")
MISSED = ("missed object", "?", "#ffd43b", "7 4")
FALSE = ("false positive of high score", "✗", "#ff6b5e", "9 3 2 3")
KINDS = (FOUND, HIT, MISSED, FALSE)
Kind = tuple[str, str, str, str]
Box = tuple[float, ...]


def definitions(photos: dict[int, Photo]) -> Markup:
    """Each photo once, however often it is drawn."""
    shown = [
        tag("image", href=photo.url, width=photo.size[0], height=photo.size[1], id=f"photo-{i}")
        for i, photo in photos.items()
    ]
    return tag("svg", tag("defs", *shown), class_="definitions", aria_hidden="true")


def key() -> Markup:
    """What the boxes mean."""
    entries = []
    for kind in KINDS:
        sample = tag("svg", *_box(kind, (3, 3, 34, 18), kind[0], 12), viewBox="0 0 40 24", width=40, height=24,
                     class_="sample", aria_hidden="true")  # fmt: skip
        entries.append(tag("li", sample, kind[0]))
    return tag("ul", *entries, class_="legend")


def drawing(
    truth: GroundTruth, verdicts: Verdicts, image: int, photo: Photo, boxes: dict[int, Box], text: str
) -> Markup:
    """The photo with the verdicts of one file on ``image`` (index); ``boxes`` by row of the detection."""
    width, height = photo.size
    drawn: dict[Kind, list[tuple[Box, str]]] = {kind: [] for kind in KINDS}
    taken = found_truths(verdicts, image)
    begin, end = truth.image_start[image : image + 2].tolist()
    for row in range(begin, end):
        if not verdicts.ignored[row]:
            name = truth.category_names[truth.category[row]]
            drawn[FOUND if row in taken else MISSED].append((truth_box(truth, row), name))
    here = verdicts.image == image
    for row, category, score, hit in zip(
        verdicts.detection[here].tolist(),
        verdicts.category[here].tolist(),
        verdicts.score[here].tolist(),
        verdicts.hit[here].tolist(),
        strict=True,
    ):
        drawn[HIT if hit else FALSE].append((boxes[row], f"{truth.category_names[category]}, score {score:.3g}"))
    marks = [
        mark
        for kind in KINDS
        for box, name in drawn[kind]
        for mark in _box(kind, box, f"{kind[0]}: {name}", max(width, height) / 25)
    ]
    return tag(
        "svg",
        tag("title", text),
        tag("use", href=f"#photo-{truth.image_ids[image]}"),
        *marks,
        viewBox=f"0 0 {width} {height}",
        role="img",
    )


def _box(kind: Kind, box: Box, title: str, letter: float) -> Iterator[Markup]:
    """A rectangle with a dark rim, and the kind's sign in its corner."""
    _, sign, colour, dashes = kind
    line = 1.8 if kind in (MISSED, FALSE) else 1.2
    x, y, width, height = (f"{side:.6g}" for side in box)
    shape = {"x": x, "y": y, "width": width, "height": height, "fill": "none", "vector_effect": "non-scaling-stroke"}
    yield tag("rect", **shape, stroke="#000", stroke_width=line + 1.4)
    yield tag("rect", tag("title", title), **shape, stroke=colour, stroke_width=line, stroke_dasharray=dashes or None)
    if sign:
        yield tag("text", sign, x=f"{box[0] + letter / 5:.6g}", y=f"{box[1] + letter:.6g}", fill=colour,
                  font_size=f"{letter:.4g}", class_="sign")  # fmt: skip
