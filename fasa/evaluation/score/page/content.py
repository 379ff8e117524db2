"""The page: the template filled with the sections."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np

from fasa.evaluation import GroundTruth
from fasa.evaluation.score.page.bars import bars
from fasa.evaluation.score.page.boxes import detection_boxes
from fasa.evaluation.score.page.classes import classes
from fasa.evaluation.score.page.curves import curves
from fasa.evaluation.score.page.figures import figures
from fasa.evaluation.score.page.images import galleries, images, verdicts_of
from fasa.evaluation.score.page.markup import join, tag
from fasa.evaluation.score.page.photos import Photos
from fasa.evaluation.score.page.styles import hatches
from fasa.evaluation.score.report import what_is_compared
from fasa.evaluation.score.scores import FileScores, ScoreRequest


def page(
    request: ScoreRequest, truth: GroundTruth, files: Sequence[FileScores], photos: Photos | None
) -> tuple[str, str | None]:
    """The HTML, and a sentence if images are missing in the folder of ``photos``.

    Raises:
        UserError: a file of detections can no longer be read.
    """
    protocol = request.page
    assert protocol is not None  # --page chose one
    labels = [file.label for file in files]
    shown = galleries(files)
    ids = [int(truth.image_ids[image]) for gallery in shown for image in gallery.images]
    found, missing = photos.load(ids) if photos else ({}, None)
    boxes: list[dict[int, tuple[float, ...]]] = [{} for _ in files]
    if found:
        drawn = np.isin(truth.image_ids, list(found))
        boxes = [
            detection_boxes(file.path, truth, own.detection[drawn[own.image]])
            for file, own in zip(files, verdicts_of(files), strict=True)
        ]
    tides = [file.tide for file in files if file.tide is not None]
    sections = [
        figures(request, truth, files),
        curves(truth, [file.evaluations[protocol] for file in files], labels),
        *([hatches(), bars(tides, labels)] if tides else []),
        classes(protocol, files, request.samples),
        images(truth, files, shown, found, boxes),
    ]
    introduction = [
        tag("p", what_is_compared(request, truth)),
        tag("ul", *(tag("li", f"{file.label}: {file.detections:,} detections") for file in files)),
        *(tag("p", f"Warning: {warning}", class_="warning") for file in files for warning in file.warnings),
        *(tag("p", f"Note: {note}") for note in truth.notes),
    ]
    text = Template(_part("page.html")).substitute(
        title=join([f"Scores of {', '.join(labels)} on {Path(truth.name).name}"]),
        style=_part("page.css"),
        introduction=join(introduction),
        sections=join(sections),
        script=_part("page.js"),
    )
    return text, missing


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
