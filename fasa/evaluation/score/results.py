"""Scores of detections files against one set of annotations: each file is read once for everything that is asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fasa.errors import UserError
from fasa.evaluation import Evaluation, GroundTruth, Overlaps, Tide, evaluate, open_detections
from fasa.evaluation.metrics import bootstrap, overlaps, tide
from fasa.evaluation.metrics.bootstrap import Interval
from fasa.evaluation.metrics.matching import CLASS_LIMIT
from fasa.evaluation.score.labels import labels
from fasa.evaluation.score.progress import Display
from fasa.evaluation.score.verification import Comparison, check_tools, verify

SEED = 0  # of the bootstrap


@dataclass(frozen=True)
class Question:
    """What is asked of every file."""

    protocols: tuple[str, ...] = ("standard",)
    iou_type: str = "segm"
    areas: str = "mask"
    tide: bool = False
    samples: int | None = None  # of the bootstrap
    instance_counts: np.ndarray | None = None
    verify: bool = False


@dataclass
class FileScores:
    """The answers for one file; ``seconds`` by stage."""

    path: Path
    label: str
    detections: int = 0
    short_classes: int = 0  # classes with objects, but with fewer detections than AP-Fixed ranks
    evaluations: dict[str, Evaluation] = field(default_factory=dict)  # by protocol
    tide: Tide | None = None
    intervals: dict[str, dict[str, Interval]] = field(default_factory=dict)  # by protocol and metric
    differences: dict[str, dict[str, Interval]] = field(default_factory=dict)  # of the difference from the first file
    comparisons: list[Comparison] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - begin, 3)


def check(question: Question, annotations: Path, truth: GroundTruth, paths: Sequence[Path]) -> None:
    """Refuse at once what would otherwise fail after minutes.

    Raises:
        UserError: a protocol of LVIS on other annotations, a detections file or an official
            tool that is not there.
    """
    asked = [protocol for protocol in question.protocols if protocol != "standard"]
    if asked and truth.kind != "lvis":
        raise UserError(
            f"{annotations} has no negative categories: protocol '{asked[0]}' is for LVIS annotations; use 'standard'."
        )
    for path in paths:
        open_detections(path)
    if question.verify:
        check_tools(annotations, truth, question.tide)


def answer(
    question: Question, annotations: Path, truth: GroundTruth, paths: Sequence[Path], display: Display
) -> list[FileScores]:
    """Every figure of every file."""
    files = [FileScores(path, label) for path, label in zip(paths, labels(paths), strict=True)]
    kept: list[Overlaps] = []
    for file in files:
        found = _score(file, question, truth, display)
        if question.samples:
            kept.append(found)
    if question.samples:
        _resample(files, kept, question, display)
    kept.clear()
    if question.verify:
        for file in files:
            with display.stage(f"{file.label}: official tools"), file.clock("verify"):
                file.comparisons = verify(
                    annotations,
                    file.path,
                    question.iou_type,
                    question.protocols,
                    question.tide,
                    question.areas,
                    instance_counts=question.instance_counts,
                    evaluations=file.evaluations,
                    tide_result=file.tide,
                    ground_truth=truth,
                )
    return files


def _score(file: FileScores, question: Question, truth: GroundTruth, display: Display) -> Overlaps:
    with display.bytes(file.label) as progress, file.clock("read"):
        found = overlaps(
            truth,
            file.path,
            question.iou_type,
            all_classes=question.tide,
            area=question.areas,
            progress=progress,
        )
    file.detections = len(found.score)
    file.short_classes = _short_classes(found)
    for protocol in question.protocols:
        with display.stage(f"{file.label}: {protocol}"), file.clock(protocol):
            file.evaluations[protocol] = evaluate(found, protocol, question.instance_counts)
    if question.tide:
        with display.stage(f"{file.label}: TIDE"), file.clock("tide"):
            file.tide = tide(found)
    return found


def _short_classes(found: Overlaps) -> int:
    classes = len(found.ground_truth.category_ids)
    there = np.bincount(found.category, minlength=classes)[:classes]
    wanted = np.bincount(found.ground_truth.category[~found.ground_truth.ignore], minlength=classes) > 0
    return int((wanted & (there < CLASS_LIMIT)).sum())


def _resample(files: list[FileScores], kept: list[Overlaps], question: Question, display: Display) -> None:
    for protocol in question.protocols:
        with display.count(f"bootstrap: {protocol}") as progress:
            intervals, differences = bootstrap(kept, protocol, question.samples, SEED, progress)
        for file, own, difference in zip(files, intervals, differences, strict=True):
            file.intervals[protocol] = own
            file.differences[protocol] = difference
