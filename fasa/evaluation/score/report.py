"""The result as text: a table for each protocol, for TIDE and for --verify, with what one must know to read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from fasa.evaluation import GroundTruth, Tide
from fasa.evaluation.metrics.average_precision import BINS
from fasa.evaluation.metrics.bootstrap import Interval
from fasa.evaluation.metrics.matching import CLASS_LIMIT, COCO_LIMITS, IMAGE_LIMIT
from fasa.evaluation.score.scores import SEED, FileScores, ScoreRequest
from fasa.evaluation.score.table import ABSENT, Cell, Row, print_table
from fasa.evaluation.score.verification import Comparison

PROSE = 110  # characters to a line of text, where the screen is wider
FREQUENCY_WORDS = {"r": "rare", "c": "common", "f": "frequent"}
PROTOCOL_WORDS = {
    ("lvis", "standard"): f"the best {IMAGE_LIMIT} detections of each image, as lvis-api",
    ("lvis", "fixed"): f"AP-Fixed, the best {CLASS_LIMIT:,} detections of each class, no limit an image",
    ("lvis", "pool"): f"AP-Pool, the best {CLASS_LIMIT:,} detections of each class, classes ranked together",
    ("coco", "standard"): f"the best {COCO_LIMITS[-1]} detections of each class in each image, as pycocotools",
}
ERRORS = {
    "cls": "Cls", "loc": "Loc", "both": "Both", "dupe": "Dupe", "bkg": "Bkg", "miss": "Miss",
    "false_positive": "FalsePos", "false_negative": "FalseNeg",
}  # fmt: skip

TIDE_NOTE = (
    "tidecv averages over every class with a detection or an object, and a class without objects counts as 0: those "
    "figures, which papers print, compare only between files with the same number of classes. Each error is repaired "
    "by itself; they do not add up."
)


def print_report(console: Console, request: ScoreRequest, truth: GroundTruth, files: Sequence[FileScores]) -> None:
    """Print everything that was requested; ``console`` should interpret no markup, since names may hold brackets."""
    _say(console, what_is_compared(request, truth))
    for file in files:
        _say(console, f"{file.label}: {file.detections:,} detections")
    names = [file.label for file in files]
    for protocol in request.protocols:
        _say(console, f"\n{protocol_title(truth.kind, protocol)}", style="bold")
        print_table(console, figure_rows(protocol, files), names)
    _say(console, *footnotes(request, truth, files))
    for protocol in files[0].lrp:
        _say(console, f"\nLRP of {protocol}: optimal error at IoU 0.5, in points, lower is better", style="bold")
        print_table(console, lrp_rows(protocol, files), names)
    if request.lrp:
        _say(
            console,
            "oLRP is each class's error at the score that is best for it, averaged over classes with objects. Its "
            "parts there: loc, how far matched objects are off (1 - IoU); fp, 1 - precision; fn, 1 - recall. A class "
            "that finds nothing has oLRP and fn 100, and is in no average of loc and fp.",
        )
    if request.tide:
        _say(console, "\nTIDE: AP50 lost to each kind of error, in points", style="bold")
        print_table(console, *tide_table(files), differences=len(files) > 1)
        _say(console, TIDE_NOTE)
    _say(console, *(f"Note: {note}" for note in truth.notes))


def what_is_compared(request: ScoreRequest, truth: GroundTruth) -> str:
    """The annotations, and what of them is compared with the detections."""
    what = {"segm": "Masks", "bbox": "Boxes", "boundary": "Masks and their boundaries"}[request.iou_type]
    return (
        f"{Path(truth.name).name} ({truth.kind.upper()}): {len(truth.image_ids):,} images, "
        f"{len(truth.category_ids):,} classes, {len(truth.image):,} objects. {what} are compared."
    )


def protocol_title(kind: str, protocol: str) -> str:
    """A protocol, and what it says in one line."""
    return f"{protocol}: {PROTOCOL_WORDS[kind, protocol]}"


def print_comparisons(console: Console, files: Sequence[FileScores]) -> None:
    """Print a table for each file: AP as fractions, TIDE in points; and the largest differences."""
    for file in files:
        if not file.comparisons:
            continue
        _say(console, f"\n{file.label}: beside the official tools", style="bold")
        for tool in dict.fromkeys(c.tool for c in file.comparisons):
            mine = [c for c in file.comparisons if c.tool == tool]
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
            table.add_column("", overflow="fold")
            for heading in ("ours", tool, "difference"):
                table.add_column(heading, justify="right", overflow="fold")
            for c in mine:
                table.add_row(
                    c.metric, _figure(c.ours), _figure(c.official), _gap(c), style=None if c.equal else "bold red"
                )
            console.print(table)
            worst = max(mine, key=lambda c: c.difference)
            wrong = sum(not c.equal for c in mine)
            verdict = f"{wrong} of {len(mine)} figures differ" if wrong else f"all {len(mine)} figures agree"
            _say(console, f"{tool}: {verdict}; the largest difference is {_gap(worst)} ({worst.metric}).")


def _say(console: Console, *lines: str, style: str | None = None) -> None:
    """Print sentences, wrapped at the screen's width or ``PROSE``."""
    for line in lines:
        console.print(line, style=style, width=min(console.width, PROSE))


def figure_rows(protocol: str, files: Sequence[FileScores]) -> list[Row]:
    """A protocol's figures in points, a cell for each file, with their intervals."""
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


def lrp_rows(protocol: str, files: Sequence[FileScores]) -> list[Row]:
    """A protocol's LRP in points, a cell for each file."""
    summaries = [file.lrp[protocol].summary for file in files]
    return [
        Row(name, [Cell(None if (value := own[name]) is None else 100 * value) for own in summaries])
        for name in summaries[0]
    ]


def _points(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (100 * interval.low, 100 * interval.high)


def footnotes(request: ScoreRequest, truth: GroundTruth, files: Sequence[FileScores]) -> Iterator[str]:
    """What one must know to read the figures."""
    first = f" Differences are from {files[0].label}." if len(files) > 1 else ""
    yield f"AP and AR in points (0 to 100).{first}"
    if request.samples:
        yield f"In brackets: 95 % intervals from {request.samples:,} resamplings of the images (seed {SEED})."
        bare = {m for f in files for p in request.protocols for m in _present(f, p) if m not in f.intervals[p]}
        if bare - {name for name, *_ in BINS}:
            yield "A figure of AP or AR without brackets: some resamplings hold no object that counts for it."
        if request.instance_counts is not None:
            yield "COCO-LT's bins have no intervals."
        for asked, name in ((request.lrp, "LRP"), (request.tide, "TIDE")):
            if asked:
                yield f"{name} has no intervals."
    absent = dict.fromkeys(
        metric
        for protocol in request.protocols
        for metric, value in files[0].evaluations[protocol].summary.items()
        if value is None
    )
    if absent:
        yield f"{ABSENT} ({', '.join(absent)}): no object of these annotations counts for it."
    if {"fixed", "pool"} & set(request.protocols):
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
        for letter, word in FREQUENCY_WORDS.items()
    )
    return f"Classes with objects: {', '.join(groups)}."


def tide_table(files: Sequence[FileScores]) -> tuple[list[Row], Sequence[str]]:
    """TIDE's rows, and the columns' names: averages and counts of one file, or the files."""
    found = [file.tide for file in files if file.tide is not None]
    if len(found) == 1:
        return _tide_of_one(found[0]), ("tidecv's average", "over classes with objects", "errors")
    return _tide_of_several(found), [file.label for file in files]


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


def _figure(value: float | None) -> str:
    if value is None:
        return ABSENT
    return str(value) if isinstance(value, int) else f"{value:.12f}"


def _gap(comparison: Comparison) -> str:
    return f"{comparison.difference:.2g}"
