"""The images that cost most: which they are, and what is written below each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fasa.evaluation import GroundTruth
from fasa.evaluation.score.page.drawing import definitions, drawing, key
from fasa.evaluation.score.page.markup import Markup, join, section, sentence, tag
from fasa.evaluation.score.page.photos import Photo
from fasa.evaluation.score.page.verdicts import Verdicts, found_truths
from fasa.evaluation.score.scores import FileScores

SHOWN = 6  # images of each kind
NAMED = 4  # classes below an image


@dataclass(frozen=True)
class Gallery:
    """Images (indices) under one heading, each with the verdicts of some ``files``."""

    heading: str
    files: tuple[int, ...]
    images: tuple[int, ...]


def galleries(files: Sequence[FileScores]) -> list[Gallery]:
    """For each file the images with the most missed objects and the most false positives; then those that differ."""
    chosen = []
    verdicts = verdicts_of(files)
    for place, (file, own) in enumerate(zip(files, verdicts, strict=True)):
        for heading, amount in (("most missed objects", own.missed), ("most false positives of high score", own.false)):
            chosen.append(Gallery(f"{file.label}: {heading}", (place,), _most(amount)))
    for place in range(1, len(files)):
        gap = np.abs(verdicts[place].cost - verdicts[0].cost)
        heading = f"{files[place].label} and {files[0].label}: where they differ most"
        chosen.append(Gallery(heading, (0, place), _most(gap)))
    return chosen


def verdicts_of(files: Sequence[FileScores]) -> list[Verdicts]:
    return [file.verdicts for file in files if file.verdicts is not None]


def _most(amount: np.ndarray) -> tuple[int, ...]:
    """Indices of the ``SHOWN`` greatest above zero, of equals the first."""
    order = np.argsort(-amount, kind="stable")[:SHOWN]
    return tuple(order[amount[order] > 0].tolist())


def images(
    truth: GroundTruth,
    files: Sequence[FileScores],
    shown: Sequence[Gallery],
    photos: dict[int, Photo],
    boxes: Sequence[dict[int, tuple[float, ...]]],
) -> Markup:
    """The section; ``photos`` by image id, ``boxes`` of each file's detections by row, for images with a photo."""
    verdicts = verdicts_of(files)
    thresholds = ", ".join(
        f"{own.high:.3g} in {file.label}" if own.hit.any() else f"{file.label} has no hits: all count"
        for file, own in zip(files, verdicts, strict=True)
    )
    told = (
        "At IoU 0.5. A false positive is of high score where it has at least the median score of its file's hits "
        f"({thresholds}). Two files differ by missed objects and such false positives together."
    )
    groups: list[Markup] = []
    for gallery in shown:
        groups.append(tag("h3", gallery.heading))
        cards = []
        for image in gallery.images:
            image_id = int(truth.image_ids[image])
            for place in gallery.files:
                of_file = (files[place].label,) if len(gallery.files) > 1 else ()
                text = ". ".join([f"Image {image_id}", *of_file, caption(truth, verdicts[place], image)])
                photo = photos.get(image_id)
                picture = [drawing(truth, verdicts[place], image, photo, boxes[place], text)] if photo else []
                cards.append(tag("figure", *picture, tag("figcaption", text)))
        pairs = " pairs" if len(gallery.files) > 1 else ""
        groups.append(tag("div", *cards, class_="gallery" + pairs) if cards else sentence("None."))
    legend = [definitions(photos), key()] if photos else []
    return section("Images that cost most", sentence(told), *legend, join(groups))


def caption(truth: GroundTruth, verdicts: Verdicts, image: int) -> str:
    """What is missed and what is wrong in an image, with the classes."""
    missed = missed_truths(truth, verdicts, image)
    hits = int((verdicts.hit & (verdicts.image == image)).sum())
    wrong = verdicts.category[~verdicts.hit & (verdicts.image == image)]
    names = truth.category_names
    return (
        f"Missed {len(missed)} of {len(missed) + hits} objects{_named(names[truth.category[row]] for row in missed)}; "
        f"{len(wrong)} false positive{'s' * (len(wrong) != 1)} of high score{_named(names[k] for k in wrong.tolist())}"
    )


def missed_truths(truth: GroundTruth, verdicts: Verdicts, image: int) -> list[int]:
    """Rows of the objects that count and that no hit took."""
    begin, end = truth.image_start[image : image + 2].tolist()
    taken = found_truths(verdicts, image)
    return [row for row in range(begin, end) if not verdicts.ignored[row] and row not in taken]


def _named(names: Iterable[str]) -> str:
    counted = Counter(names).most_common()
    shown = [name if n == 1 else f"{name} × {n}" for name, n in counted[:NAMED]]
    if len(counted) > NAMED:
        shown.append(f"and {len(counted) - NAMED} more")
    return f" ({', '.join(shown)})" if shown else ""
