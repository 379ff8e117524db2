"""The classes: those whose AP moved most from the first file to each other one, and all of them in one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fasa.evaluation.score.page.markup import Markup, section, sentence, table, tag
from fasa.evaluation.score.scores import FileScores
from fasa.evaluation.score.table import Cell, cell_text, difference_text

MOVED = 10  # classes up, and as many down
UNFOLDED = 40  # a table of more classes is shown on demand


def classes(protocol: str, files: Sequence[FileScores], samples: int | None) -> Markup:
    """The section of the tables; ``protocol`` has figures by class, ``samples`` are those of the bootstrap."""
    columns = files[0].evaluations[protocol].per_class
    assert columns is not None
    letters = bool((columns["frequency"] != "").any())
    headings = ["class", *(["frequency"] if letters else []), "objects", *_headings(files)]

    def row(k: int) -> list[str | int]:
        letter = [str(columns["frequency"][k])] if letters else []
        return [str(columns["name"][k]), *letter, int(columns["truths"][k]), *_texts(protocol, files, k)]

    moved = []
    for place in range(1, len(files)):
        up, down = most_moved(difference(protocol, files, place))
        for direction, chosen in (("up", up), ("down", down)):
            name = f"Most {direction}: {files[place].label} against {files[0].label}"
            moved.append(
                table(headings, map(row, chosen), name) if len(chosen) else sentence(f"{name}: no class moved.")
            )
    number = len(columns["name"])
    every = tag(
        "details",
        tag("summary", f"All {number:,} classes"),
        tag(
            "label",
            "Search: ",
            tag("input", type="search", class_="search"),
            class_="search-label",
        ),
        table(headings, map(row, range(number)), "All classes; a heading sorts", class_="sortable"),
        open="open" if number <= UNFOLDED else None,
    )
    told = f"AP in points ({protocol} protocol); objects are those that count."
    if samples and len(files) > 1:
        told += (
            f" In brackets: 95 % intervals of the difference from {samples:,} resamplings of the images, each class by "
            "itself; none where some resampling holds no object of the class. Of many classes some are beyond zero by "
            "chance."
        )
    return section("Classes", sentence(told), *moved, every)


def difference(protocol: str, files: Sequence[FileScores], place: int) -> np.ndarray:
    """AP of a file less that of the first, (K,), points; NaN without ground truth."""
    return _points(protocol, files[place]) - _points(protocol, files[0])


def most_moved(gap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the ``MOVED`` greatest gaps above zero, and of those below it, (K,) may hold NaN."""
    up, down = np.argsort(-gap, kind="stable"), np.argsort(gap, kind="stable")  # NaN last
    return up[gap[up] > 0][:MOVED], down[gap[down] < 0][:MOVED]


def _points(protocol: str, file: FileScores) -> np.ndarray:
    columns = file.evaluations[protocol].per_class
    assert columns is not None
    return 100 * columns["AP"]


def _headings(files: Sequence[FileScores]) -> list[str]:
    if len(files) == 1:
        return ["AP"]
    return [f"AP {file.label}" for file in files] + [f"difference {file.label}" for file in files[1:]]


def _texts(protocol: str, files: Sequence[FileScores], k: int) -> list[str]:
    cells = []
    for file in files:
        value, interval = float(_points(protocol, file)[k]), None
        if file.class_intervals is not None and not np.isnan(file.class_intervals[k, 0]):
            low, high = (100 * file.class_intervals[k]).tolist()
            interval = low, high
        cells.append(Cell(None if np.isnan(value) else value, difference_interval=interval))
    return [*map(cell_text, cells), *(difference_text(cell, cells[0]) for cell in cells[1:])]
