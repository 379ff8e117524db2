"""The result as text: a table for each protocol and for TIDE, with what one must know to read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from fasa.evaluation import GroundTruth, Tide
from fasa.evaluation.metrics.average_precision import BINS
from fasa.evaluation.metrics.bootstrap import Interval
from fasa.evaluation.metrics.matching import CLASS_LIMIT
from fasa.evaluation.score.results import SEED, FileScores, Question
from fasa.evaluation.score.rules import WORDS
from fasa.evaluation.score.table import ABSENT, Cell, Row, print_table

PROSE = 110  # characters to a line of text, where the screen is wider
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}
ERRORS = {
    "cls": "Cls", "loc": "Loc", "both": "Both", "dupe": "Dupe", "bkg": "Bkg", "miss": "Miss",
    "false_positive": "FalsePos", "false_negative": "FalseNeg",
}  # fmt: skip


def print_report(console: Console, question: Question, truth: GroundTruth, files: Sequence[FileScores]) -> None:
    """Print everything that was asked; ``console`` should interpret no markup, since names may hold brackets."""
    what = {"segm": "Masks", "bbox": "Boxes"}[question.iou_type]
    say(
        console,
        f"{Path(truth.name).name} ({truth.kind.upper()}): {len(truth.image_ids):,} images, "
        f"{len(truth.category_ids):,} classes, {len(truth.image):,} objects. {what} are compared.",
    )
    for file in files:
        say(console, f"{file.label}: {file.detections:,} detections")
    names = [file.label for file in files]
    for protocol in question.protocols:
        say(console, f"\n{protocol}: {WORDS[truth.kind, protocol]}", style="bold")
        print_table(console, _rows(protocol, files), names)
    say(console, *_footnotes(question, truth, files))
    if question.tide:
        say(console, "\nTIDE: AP50 lost to each kind of error, in points", style="bold")
        if len(files) == 1:
            print_table(
                console, _tide_of_one(files[0].tide), ("tidecv's average", "over classes with objects", "errors"), False
            )
        else:
            print_table(console, _tide_of_several([file.tide for file in files]), names)
        say(
            console,
            "tidecv averages over every class with a detection or an object, and a class without objects counts as 0: "
            "those figures, which papers print, compare only between files with the same number of classes. Each error "
            "is repaired by itself; they do not add up.",
        )
    say(console, *(f"Note: {note}" for note in truth.notes))


def say(console: Console, *lines: str, style: str | None = None) -> None:
    """Print sentences, wrapped at the screen's width or ``PROSE``."""
    for line in lines:
        console.print(line, style=style, width=min(console.width, PROSE))


def _rows(protocol: str, files: Sequence[FileScores]) -> list[Row]:
    rows = []
    for metric in files[0].evaluations[protocol].summary:
        cells = []
        for file in files:
            value = file.evaluations[protocol].summary[metric]
            cells.append(
                Cell(
                    None if value is None else 100 * value,
                    2,
                    _points(file.intervals.get(protocol, {}).get(metric)),
                    _points(file.differences.get(protocol, {}).get(metric)),
                )
            )
        rows.append(Row(metric, cells))
    return rows


def _points(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (100 * interval.low, 100 * interval.high)


def _footnotes(question: Question, truth: GroundTruth, files: Sequence[FileScores]) -> Iterator[str]:
    first = f" Differences are from {files[0].label}." if len(files) > 1 else ""
    yield f"AP and AR in points (0 to 100).{first}"
    if question.samples:
        yield f"In brackets: 95 % intervals from {question.samples:,} resamplings of the images (seed {SEED})."
        bare = {m for f in files for p in question.protocols for m in _present(f, p) if m not in f.intervals[p]}
        if bare - {name for name, *_ in BINS}:
            yield "A figure without brackets: some resamplings hold no object that counts for it."
        if question.instance_counts is not None:
            yield "COCO-LT's bins have no intervals."
    absent = dict.fromkeys(
        metric
        for protocol in question.protocols
        for metric, value in files[0].evaluations[protocol].summary.items()
        if value is None
    )
    if absent:
        yield f"{ABSENT} ({', '.join(absent)}): no object of these annotations counts for it."
    if {"fixed", "pool"} & set(question.protocols):
        short = [f"{file.short_classes:,} in {file.label}" for file in files if file.short_classes]
        if short:
            yield (
                f"AP-Fixed and AP-Pool rank {CLASS_LIMIT:,} detections of each class. Classes that have fewer: "
                f"{', '.join(short)}. If inference dropped them, these figures are too low."
            )
    yield _classes_with_truth(truth)


def _present(file: FileScores, protocol: str) -> list[str]:
    return [metric for metric, value in file.evaluations[protocol].summary.items() if value is not None]


def _classes_with_truth(truth: GroundTruth) -> str:
    there = np.zeros(len(truth.category_ids), bool)
    there[truth.category[~truth.ignore]] = True
    if truth.kind != "lvis":
        return f"Classes with objects: {there.sum():,} of {len(there):,}."
    groups = (
        f"{there[truth.frequencies == letter].sum():,} of {(truth.frequencies == letter).sum():,} {word} ({letter})"
        for letter, word in FREQUENCIES.items()
    )
    return f"Classes with objects: {', '.join(groups)}."


def _tide_of_one(t: Tide) -> list[Row]:
    """Columns: tidecv's average, that over classes with objects, counts."""
    rows = [Row("AP50", [Cell(t.ap), Cell(t.ap_gt_classes), None])]
    for name, shown in ERRORS.items():
        count = Cell(t.counts[name], decimals=0) if name in t.counts else None
        points, with_truth = (t.errors | t.special)[name], (t.errors_gt_classes | t.special_gt_classes)[name]
        rows.append(Row(shown, [Cell(points), Cell(with_truth), count]))
    return [*rows, Row("classes averaged", [Cell(t.classes, decimals=0), Cell(t.classes_with_truth, decimals=0), None])]


def _tide_of_several(found: Sequence[Tide]) -> list[Row]:
    """Columns: files."""

    def numbers(name: str, values: Iterable[int]) -> Row:
        return Row(name, [Cell(value, decimals=0) for value in values])

    rows = [Row("tidecv's average"), Row("AP50", [Cell(t.ap) for t in found])]
    rows += [Row(ERRORS[e], [Cell((t.errors | t.special)[e]) for t in found]) for e in ERRORS]
    rows += [numbers("classes averaged", [t.classes for t in found])]
    rows += [Row("average over classes with objects"), Row("AP50", [Cell(t.ap_gt_classes) for t in found])]
    rows += [Row(ERRORS[e], [Cell((t.errors_gt_classes | t.special_gt_classes)[e]) for t in found]) for e in ERRORS]
    rows += [numbers("classes averaged", [t.classes_with_truth for t in found])]
    return [
        *rows,
        Row("number of errors"),
        *(numbers(ERRORS[e], [t.counts[e] for t in found]) for e in found[0].counts),
    ]
