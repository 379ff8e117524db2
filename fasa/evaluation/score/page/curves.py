"""Precision over recall as small charts: a chart for each group of classes and IoU, a line for each file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fasa.evaluation import Evaluation, GroundTruth
from fasa.evaluation.io.ground_truth import FREQUENCIES
from fasa.evaluation.metrics.average_precision import RECALLS
from fasa.evaluation.metrics.matching import IOU_THRESHOLDS
from fasa.evaluation.score.page.markup import Markup, section, sentence, tag
from fasa.evaluation.score.page.styles import legend, line
from fasa.evaluation.score.report import FREQUENCY_WORDS

THRESHOLDS = (0.5, 0.75)
LEFT, TOP, SIDE_X, SIDE_Y = 34, 8, 230, 150  # of the axes, in a chart of 280 x 192


def curves(truth: GroundTruth, evaluations: Sequence[Evaluation], labels: Sequence[str]) -> Markup:
    """The section of the charts; groups without objects have none."""
    charts = []
    for group, classes in _groups(truth):
        for threshold in THRESHOLDS:
            lines = [mean_precision(evaluation, classes, threshold) for evaluation in evaluations]
            if any(own is not None for own in lines):
                charts.append(_chart(f"{group}, IoU {threshold:g}", lines, labels))
    told = (
        f"Precision at {len(RECALLS)} recalls, averaged over the classes with objects ({evaluations[0].protocol} "
        "protocol). The area under a line is the AP at that IoU."
    )
    return section("Precision and recall", sentence(told), legend(labels), tag("div", *charts, class_="charts"))


def mean_precision(evaluation: Evaluation, classes: np.ndarray, threshold: float) -> np.ndarray | None:
    """Mean over those of ``classes``, bool (K,), that have objects, at each recall, (R,); None if none has."""
    assert evaluation.precision is not None  # AP-Pool alone has none, and no page is made from it
    of_classes = evaluation.precision[int(np.argmin(abs(IOU_THRESHOLDS - threshold))), :, classes, 0]  # (classes, R)
    present = of_classes[of_classes[:, 0] > -1]
    return present.mean(axis=0) if len(present) else None


def _groups(truth: GroundTruth) -> Iterator[tuple[str, np.ndarray]]:
    yield "All classes", np.ones(len(truth.category_ids), bool)
    if truth.kind == "lvis":
        for letter in FREQUENCIES:
            yield f"{FREQUENCY_WORDS[letter].capitalize()} classes", truth.frequencies == letter


def _chart(name: str, lines: Sequence[np.ndarray | None], labels: Sequence[str]) -> Markup:
    areas = [
        f"{label}: {100 * float(own.mean()):.2f}" for own, label in zip(lines, labels, strict=True) if own is not None
    ]
    told = f"Precision over recall, both from 0 to 1. Mean precision in points: {'; '.join(areas)}."
    paths = [tag("path", d=_path(own), **line(file)) for file, own in enumerate(lines) if own is not None]
    drawing = tag(
        "svg",
        tag("title", name),
        tag("desc", told),
        *_axes(),
        *paths,
        viewBox="0 0 280 192",
        role="img",
    )
    numbers = [tag("li", area) for area in areas]
    return tag("figure", tag("figcaption", name), drawing, tag("ul", *numbers, class_="values"))


def _path(precision: np.ndarray) -> str:
    points = zip(LEFT + SIDE_X * RECALLS, TOP + SIDE_Y * (1 - precision), strict=True)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _axes() -> Iterator[Markup]:
    for tick in (0, 0.5, 1):
        x, y = LEFT + SIDE_X * tick, TOP + SIDE_Y * (1 - tick)
        yield tag("path", d=f"M{LEFT} {y}h{SIDE_X}M{x} {TOP}v{SIDE_Y}", stroke="#ccc", fill="none")
        yield tag("text", f"{tick:g}", x=LEFT - 5, y=y + 4, text_anchor="end")
        yield tag("text", f"{tick:g}", x=x, y=TOP + SIDE_Y + 14, text_anchor="middle")
    yield tag("text", "recall", x=LEFT + SIDE_X / 2, y=TOP + SIDE_Y + 29, text_anchor="middle")
    middle = TOP + SIDE_Y / 2
    yield tag("text", "precision", x=10, y=middle, text_anchor="middle", transform=f"rotate(-90 10 {middle})")
