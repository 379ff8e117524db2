"""Scores of detections files against one set of annotations: each file is read once for every figure requested."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fasa.errors import UserError
from fasa.evaluation import (
    Evaluation,
    GroundTruth,
    Matches,
    OptimalLRP,
    Overlaps,
    Tide,
    evaluate,
    match,
    mistakes,
    open_detections,
    optimal_lrp,
    overlaps,
    tide,
)
from fasa.evaluation.io.annotation_json import read_instance_counts
from fasa.evaluation.metrics.bootstrap import Interval, class_intervals, resample, summary_intervals
from fasa.evaluation.metrics.matching import check_protocol, limit_of, short_classes
from fasa.evaluation.score.page.verdicts import Verdicts, judge
from fasa.evaluation.score.progress import Display
from fasa.evaluation.score.verification import Comparison, ToolFailed, check_tools, verify

SEED = 0  # of the bootstrap


@dataclass(frozen=True)
class ScoreRequest:
    """Which figures to compute for every file."""

    protocols: tuple[str, ...] = ("standard",)
    iou_type: str = "segm"
    areas: str = "mask"
    tide: bool = False
    lrp: bool = False
    samples: int | None = None  # of the bootstrap
    instance_counts: np.ndarray | None = None
    verify: bool = False
    page: str | None = None  # the protocol whose classes and images a page shows


@dataclass
class FileScores:
    """The figures of one file; ``seconds`` by stage."""

    path: Path
    label: str
    detections: int = 0
    short_classes: int = 0  # classes with objects, but with fewer detections than AP-Fixed ranks
    evaluations: dict[str, Evaluation] = field(default_factory=dict)  # by protocol
    tide: Tide | None = None
    lrp: dict[str, OptimalLRP] = field(default_factory=dict)  # by protocol, but for AP-Pool
    intervals: dict[str, dict[str, Interval]] = field(default_factory=dict)  # by protocol and metric
    differences: dict[str, dict[str, Interval]] = field(default_factory=dict)  # of the difference from the first file
    verdicts: Verdicts | None = None  # for the page
    class_intervals: np.ndarray | None = None  # (K, 2): of the difference from the first file, for the page; NaN: none
    comparisons: list[Comparison] = field(default_factory=list)
    failure: str | None = None  # of an official tool
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - begin, 3)


def load_instance_counts(path: Path, ground_truth: GroundTruth) -> np.ndarray:
    """Training instances of every category of ``ground_truth``, int64 (K,), in the order of its category ids.

    COCO-LT's bins are cut by them. The forms of ``path`` are those of ``read_instance_counts``.

    Raises:
        UserError: the file is missing or in no such form, or lacks a category; or ``ground_truth`` is LVIS.
    """
    if ground_truth.kind != "coco":
        raise UserError(
            f"{ground_truth.name} is LVIS, which has its own frequencies; --instance-counts is for COCO annotations."
        )
    counts = read_instance_counts(path)
    for category, name in zip(ground_truth.category_ids.tolist(), ground_truth.category_names, strict=True):
        if counts.get(category, -1) < 0:
            raise UserError(f"{path} has no instance count for category {category} ('{name}'); add one of 0 or more.")
    return np.array([counts[category] for category in ground_truth.category_ids.tolist()], dtype=np.int64)


def check(request: ScoreRequest, annotations: Path, truth: GroundTruth, paths: Sequence[Path]) -> None:
    """Refuse at once what would otherwise fail after minutes.

    Raises:
        UserError: a protocol of LVIS on other annotations; TIDE for boundaries; the official tools for these or for
            LRP; a detections file or an official tool is missing.
    """
    for protocol in request.protocols:
        check_protocol(truth, protocol)
    for asked, option in ((request.tide, "--tide"), (request.verify, "--verify")):
        if asked and request.iou_type == "boundary":
            raise UserError(f"{option} knows masks and boxes only: leave it out with --iou-type boundary.")
    if request.verify and request.lrp:
        raise UserError("--verify compares AP and TIDE, no official tool prints LRP: leave out --lrp, or --verify.")
    for path in paths:
        open_detections(path)
    if request.verify:
        check_tools(annotations, truth, request.tide)


def score_files(
    request: ScoreRequest, annotations: Path, truth: GroundTruth, paths: Sequence[Path], display: Display
) -> list[FileScores]:
    """Every figure of every file."""
    files = [FileScores(path, label) for path, label in zip(paths, labels(paths), strict=True)]
    kept: list[Overlaps] = []
    for file in files:
        found = _score(file, request, truth, display)
        if request.samples:
            kept.append(found)
    if request.samples:
        _resample(files, kept, request, request.samples, display)
    kept.clear()
    if request.verify:
        for file in files:
            with display.stage(f"{file.label}: official tools"), file.clock("verify"):
                _verify(file, request, annotations, truth)
    return files


def _verify(file: FileScores, request: ScoreRequest, annotations: Path, truth: GroundTruth) -> None:
    try:
        file.comparisons = verify(
            annotations,
            file.path,
            request.iou_type,
            request.protocols,
            request.tide,
            request.areas,
            instance_counts=request.instance_counts,
            evaluations=file.evaluations,
            tide_result=file.tide,
            ground_truth=truth,
        )
    except ToolFailed as error:  # the figures are there all the same
        file.comparisons, file.failure = error.compared, str(error)


def _score(file: FileScores, request: ScoreRequest, truth: GroundTruth, display: Display) -> Overlaps:
    with display.bytes(file.label) as progress, file.clock("read"):
        found = overlaps(
            truth,
            file.path,
            request.iou_type,
            all_classes=request.tide,
            area=request.areas,
            progress=progress,
        )
    file.detections = len(found.score)
    file.short_classes = short_classes(found)
    file.warnings = tuple(f"{file.label}: {sentence}" for sentence in mistakes(found, request.protocols))
    matched: dict[str, Matches] = {}  # by limit, which AP-Fixed and AP-Pool share
    for protocol in request.protocols:
        with display.stage(f"{file.label}: {protocol}"), file.clock(protocol):
            limit = limit_of(truth.kind, protocol)
            matched[limit] = matched.get(limit) or match(found, protocol)
            file.evaluations[protocol] = evaluate(matched[limit], protocol, request.instance_counts)
            if request.lrp and protocol != "pool":
                file.lrp[protocol] = optimal_lrp(matched[limit])
            if protocol == request.page:
                file.verdicts = judge(matched[limit])
    if request.tide:
        with display.stage(f"{file.label}: TIDE"), file.clock("tide"):
            file.tide = tide(found)
    return found


def _resample(
    files: list[FileScores], kept: list[Overlaps], request: ScoreRequest, samples: int, display: Display
) -> None:
    for protocol in request.protocols:
        with display.count(f"bootstrap: {protocol}") as progress:
            drawn = resample(kept, protocol, samples, SEED, progress, by_class=protocol == request.page)
        intervals, differences = summary_intervals(drawn)
        for file, own, difference in zip(files, intervals, differences, strict=True):
            file.intervals[protocol] = own
            file.differences[protocol] = difference
        if protocol == request.page:
            for file, draws in zip(files[1:], drawn[1:], strict=True):
                file.class_intervals = class_intervals(draws, drawn[0])


def labels(paths: Sequence[Path]) -> list[str]:
    """Short names for files: their base names, with as many folders as it takes to tell them apart.

    A file that is given twice gets a number.
    """
    parts = [path.absolute().parts for path in paths]
    depth = [1] * len(paths)
    while True:
        names = ["/".join(p[-d:]) for p, d in zip(parts, depth, strict=True)]
        count = Counter(names)
        deeper = [min(d + (count[n] > 1), len(p)) for n, d, p in zip(names, depth, parts, strict=True)]
        if deeper == depth:
            break
        depth = deeper
    times: Counter[str] = Counter()
    for place, name in enumerate(names):
        times[name] += 1
        if count[name] > 1:  # the very same path: no folder tells them apart
            names[place] = f"{paths[place].name} ({times[name]})"
    return names
