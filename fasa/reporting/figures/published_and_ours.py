"""TIDE's error types, and COCO-LT's bins: what the paper prints above what we measured, by bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure as Canvas

from fasa.reporting.cells import lookup
from fasa.reporting.figures import bars, style
from fasa.reporting.figures.published import published
from fasa.reporting.figures.series import empty, gather, missing_note, present, sources

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure

ERRORS = {
    "tide.cls": "class",
    "tide.loc": "location",
    "tide.both": "both",
    "tide.dupe": "dupli-\ncate",
    "tide.bkg": "back-\nground",
    "tide.miss": "missed",
}
BINS = {
    "lvis.AP_1_20": "1–19",
    "lvis.AP_20_400": "20–399",
    "lvis.AP_400_8000": "400–7,999",
    "lvis.AP_8000": "≥ 8,000",
}


def draw_errors(figure: Figure, study: Study) -> Canvas:
    """AP points that each of TIDE's six error types costs."""
    return _draw(figure, study, ERRORS, 1, "AP points lost", "error")


def draw_bins(figure: Figure, study: Study) -> Canvas:
    """AP of the classes of each of COCO-LT's four bins."""
    return _draw(figure, study, BINS, 100, "AP (%)", "training instances of a class")


def _draw(figure: Figure, study: Study, measures: Mapping[str, str], factor: float, height: str, place: str) -> Canvas:
    """Two panels, one above the other: levels on different data do not share an axis."""
    series = gather(figure, study, *next(iter(measures)).split("."))
    if not present(series):
        return empty(figure, study, series)
    canvas = Canvas(figsize=(style.NARROW, 3.6))
    above, below = canvas.subplots(2, 1, sharex=True)
    for index, one in enumerate(series):
        told = [published(study, one.recipe, measure) for measure in measures]
        ours = [
            [factor * value for run in one.runs if (value := lookup(run["measurements"], measure)) is not None]
            for measure in measures
        ]
        bars.cluster(above, [[] if value is None else [value] for value in told], index, len(series), one.label)
        bars.cluster(below, ours, index, len(series), "")
    for axes, source in ((above, "published"), (below, sources(series))):
        bars.places(axes, list(measures.values()))
        axes.set_ylabel(f"{source}\n{height}")
    below.set_xlabel(place)
    style.legend_above(above, columns=len(series))
    style.note(canvas, f"Whiskers: range over seeds. –: no number. {missing_note(series)}".strip())
    return canvas
